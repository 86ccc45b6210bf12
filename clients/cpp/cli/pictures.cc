#include "clients/cpp/cli/pictures.h"

#include <glob.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "engine/base/status_macros.h"
#include "engine/image/image.h"

namespace tern::client {
namespace {

namespace fs = std::filesystem;

constexpr char kStandardInput[] = "-";
constexpr char kIdxPrefix[] = "idx:";
// What the server refuses anyway is not sent.
constexpr std::size_t kMaxFileBytes = DecodeLimits{}.max_bytes;

bool IsPictureName(const fs::path& path) {
  const std::string suffix = absl::AsciiStrToLower(path.extension().string());
  return suffix == ".jpg" || suffix == ".jpeg" || suffix == ".png";
}

absl::Status TooLarge() {
  return absl::InvalidArgumentError(
      absl::StrCat("more than ", kMaxFileBytes, " bytes"));
}

absl::StatusOr<std::string> ReadAll(std::istream* in) {
  std::string bytes(kMaxFileBytes + 1, '\0');
  in->read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (in->bad()) return absl::ErrnoToStatus(errno, "cannot read");
  bytes.resize(static_cast<std::size_t>(in->gcount()));
  if (bytes.size() > kMaxFileBytes) return TooLarge();
  return bytes;
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(path, error);
  if (error) return absl::ErrnoToStatus(error.value(), "cannot read");
  if (size > kMaxFileBytes) return TooLarge();
  std::ifstream file(path, std::ios::binary);
  std::string bytes(size, '\0');
  if (!file.read(bytes.data(), static_cast<std::streamsize>(size))) {
    return absl::ErrnoToStatus(errno == 0 ? EIO : errno, "cannot read");
  }
  return bytes;
}

// An idx: name taken apart from its end, because DIR may hold colons.
struct IdxName {
  std::string folder;
  std::string split = "test";
  std::size_t first = 0;
  std::size_t last = SIZE_MAX;
};

bool ParseRange(const std::string& text, IdxName* name) {
  const std::vector<std::string> ends = absl::StrSplit(text, '-');
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  if (ends.size() > 2 || !absl::SimpleAtoi(ends.front(), &first) ||
      !absl::SimpleAtoi(ends.back(), &last) || first > last) {
    return false;
  }
  name->first = first;
  name->last = last;
  return true;
}

absl::StatusOr<IdxName> ParseIdxName(const std::string& text) {
  std::vector<std::string> parts =
      absl::StrSplit(text.substr(sizeof(kIdxPrefix) - 1), ':');
  IdxName name;
  if (parts.size() > 1 && ParseRange(parts.back(), &name)) parts.pop_back();
  if (parts.size() > 1 && (parts.back() == "test" || parts.back() == "train")) {
    name.split = parts.back();
    parts.pop_back();
  }
  name.folder = absl::StrJoin(parts, ":");
  if (name.folder.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        text, ": want idx:DIR[:test|train][:N[-M]], the folder is missing"));
  }
  return name;
}

absl::StatusOr<IdxTensor> ReadPart(const IdxName& name, const char* part) {
  const std::string path =
      absl::StrCat(name.folder, "/", name.split == "test" ? "t10k" : "train",
                   "-", part, "-ubyte");
  std::error_code ignored;
  return ReadIdxFile(fs::exists(path, ignored) ? path : path + ".gz");
}

absl::Status CheckShapes(const std::string& text, const IdxTensor& pictures,
                         const IdxTensor& labels) {
  const auto& dims = pictures.dims;
  const bool grey = dims.size() == 3;
  const bool color = dims.size() == 4 && (dims[3] == 1 || dims[3] == 3);
  if ((!grey && !color) || labels.dims.size() != 1 ||
      labels.dims[0] != dims[0]) {
    return absl::InvalidArgumentError(absl::StrCat(
        text,
        ": want N x height x width (x 1 or 3) pictures and N labels, "
        "got ",
        absl::StrJoin(dims, " x "), " and ",
        absl::StrJoin(labels.dims, " x ")));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Pictures> Pictures::Open(const std::vector<std::string>& names,
                                        std::istream* in) {
  Pictures pictures;
  for (const std::string& name : names) {
    TERN_RETURN_IF_ERROR(pictures.Add(name, in));
  }
  return pictures;
}

absl::Status Pictures::Add(const std::string& name, std::istream* in) {
  if (name == kStandardInput) return AddStandardInput(in);
  if (absl::StartsWith(name, kIdxPrefix)) return AddDataSet(name);
  std::error_code error;
  const fs::file_status status = fs::status(name, error);
  if (fs::is_directory(status)) return AddFolder(name);
  if (fs::exists(status)) {
    entries_.push_back({name, -1, 0});
    return absl::OkStatus();
  }
  if (name.find_first_of("*?[") != std::string::npos) return AddGlob(name);
  return absl::NotFoundError(absl::StrCat(
      name, ": ", error ? error.message() : "no such file or folder"));
}

absl::Status Pictures::AddFolder(const std::string& path) {
  std::vector<std::string> found;
  std::error_code error;
  fs::recursive_directory_iterator walk(
      path, fs::directory_options::follow_directory_symlink, error);
  for (const fs::recursive_directory_iterator end; !error && walk != end;
       walk.increment(error)) {
    std::error_code gone;
    if (walk->is_regular_file(gone) && IsPictureName(walk->path())) {
      found.push_back(walk->path().string());
    }
  }
  if (error) return absl::ErrnoToStatus(error.value(), path);
  if (found.empty()) {
    return absl::NotFoundError(
        absl::StrCat(path, ": no .jpg, .jpeg or .png file in this folder"));
  }
  std::sort(found.begin(), found.end());
  for (std::string& name : found) entries_.push_back({std::move(name), -1, 0});
  return absl::OkStatus();
}

absl::Status Pictures::AddGlob(const std::string& pattern) {
  glob_t matches{};
  const int code = glob(pattern.c_str(), 0, nullptr, &matches);
  std::vector<std::string> names(matches.gl_pathv,
                                 matches.gl_pathv + matches.gl_pathc);
  globfree(&matches);
  if (code != 0) {
    return absl::NotFoundError(absl::StrCat(pattern, ": matches no file"));
  }
  for (const std::string& name : names) {
    std::error_code ignored;
    if (fs::is_directory(name, ignored)) {
      TERN_RETURN_IF_ERROR(AddFolder(name));
    } else {
      entries_.push_back({name, -1, 0});
    }
  }
  return absl::OkStatus();
}

absl::Status Pictures::AddStandardInput(std::istream* in) {
  if (!standard_input_.empty()) {
    return absl::InvalidArgumentError("-: standard input is named twice");
  }
  absl::StatusOr<std::string> bytes = ReadAll(in);
  if (!bytes.ok()) {
    return absl::Status(bytes.status().code(),
                        absl::StrCat("-: ", bytes.status().message()));
  }
  if (bytes->empty()) {
    return absl::InvalidArgumentError("-: standard input is empty");
  }
  standard_input_ = *std::move(bytes);
  entries_.push_back({kStandardInput, -1, 0});
  return absl::OkStatus();
}

absl::Status Pictures::AddDataSet(const std::string& text) {
  TERN_ASSIGN_OR_RETURN(IdxName name, ParseIdxName(text));
  DataSet set;
  TERN_ASSIGN_OR_RETURN(set.pictures, ReadPart(name, "images-idx3"));
  TERN_ASSIGN_OR_RETURN(set.labels, ReadPart(name, "labels-idx1"));
  TERN_RETURN_IF_ERROR(CheckShapes(text, set.pictures, set.labels));
  const std::size_t count = set.pictures.dims[0];
  if (name.first >= count || (name.last != SIZE_MAX && name.last >= count)) {
    return absl::InvalidArgumentError(absl::StrCat(
        text, ": the ", name.split, " part has pictures 0 to ", count - 1));
  }
  const int index = static_cast<int>(sets_.size());
  for (std::size_t i = name.first; i <= std::min(name.last, count - 1); ++i) {
    entries_.push_back({absl::StrCat(name.split, "[", i, "]"), index, i});
  }
  sets_.push_back(std::move(set));
  return absl::OkStatus();
}

absl::StatusOr<Picture> Pictures::Read(std::size_t i) const {
  const Entry& entry = entries_[i];
  Picture picture;
  picture.name = entry.name;
  if (entry.set < 0) {
    if (entry.name == kStandardInput) {
      picture.image.set_encoded(standard_input_);
      return picture;
    }
    TERN_ASSIGN_OR_RETURN(*picture.image.mutable_encoded(),
                          ReadFile(entry.name));
    return picture;
  }
  const DataSet& set = sets_[static_cast<std::size_t>(entry.set)];
  const auto& dims = set.pictures.dims;
  v1::RawImage& raw = *picture.image.mutable_raw();
  raw.set_height(dims[1]);
  raw.set_width(dims[2]);
  raw.set_channels(dims.size() == 4 ? dims[3] : 1);
  const std::size_t bytes =
      std::size_t{raw.height()} * raw.width() * raw.channels();
  raw.set_pixels(set.pictures.data.data() + entry.index * bytes, bytes);
  picture.truth = set.labels.data[entry.index];
  return picture;
}

}  // namespace tern::client
