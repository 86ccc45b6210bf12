// TempDir: an empty folder that goes with its owner, with all that is in it.

#ifndef TERN_TESTS_TESTING_TEMP_DIR_H_
#define TERN_TESTS_TESTING_TEMP_DIR_H_

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include "engine/base/status_macros.h"

namespace tern::testing {

class TempDir {
 public:
  TempDir() {
    std::string name =
        (std::filesystem::temp_directory_path() / "tern_test.XXXXXX").string();
    TERN_CHECK(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const {
    return path_ + "/" + name;
  }

 private:
  std::string path_;
};

}  // namespace tern::testing

#endif  // TERN_TESTS_TESTING_TEMP_DIR_H_
