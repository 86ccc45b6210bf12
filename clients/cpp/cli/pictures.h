// Pictures named on a command line, read one at a time.
//
//   PATH            a JPEG or PNG file
//   FOLDER          every .jpg, .jpeg and .png below it
//   GLOB            as the shell's, for names that it did not expand
//   -               one picture from standard input
//   idx:DIR[:test|train][:N[-M]]
//                   pictures and labels of an IDX data set (MNIST and its
//                   relatives); test by default; N to M, both included
//
// Thread-compatible; Read is const and may be called from many threads.

#ifndef TERN_CLIENTS_CPP_CLI_PICTURES_H_
#define TERN_CLIENTS_CPP_CLI_PICTURES_H_

#include <cstddef>
#include <cstdint>
#include <istream>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/image/idx.h"
#include "tern/v1/inference.pb.h"

namespace tern::client {

struct Picture {
  std::string name;
  v1::Image image;
  // The class it belongs to, where the source knows.
  std::optional<std::uint32_t> truth;
};

class Pictures {
 public:
  // `in` is read to its end where `-` is named. NOT_FOUND where a name leads
  // to nothing; INVALID_ARGUMENT for a malformed idx: name.
  static absl::StatusOr<Pictures> Open(const std::vector<std::string>& names,
                                       std::istream* in);

  std::size_t size() const { return entries_.size(); }
  bool labelled() const { return !sets_.empty(); }
  const std::string& name(std::size_t i) const { return entries_[i].name; }
  // Errors say what is wrong with picture name(i).
  absl::StatusOr<Picture> Read(std::size_t i) const;

 private:
  struct DataSet {
    IdxTensor pictures;
    IdxTensor labels;
  };
  struct Entry {
    std::string name;
    // Index into sets_, or -1 for a file.
    int set = -1;
    std::size_t index = 0;
  };

  absl::Status Add(const std::string& name, std::istream* in);
  absl::Status AddFolder(const std::string& path);
  absl::Status AddGlob(const std::string& pattern);
  absl::Status AddStandardInput(std::istream* in);
  absl::Status AddDataSet(const std::string& name);

  std::vector<Entry> entries_;
  std::vector<DataSet> sets_;
  std::string standard_input_;
};

}  // namespace tern::client

#endif  // TERN_CLIENTS_CPP_CLI_PICTURES_H_
