// Model files with something wrong in them, but with checksums and digest that
// match: what an attacker sends, so that tests reach the rules behind the
// checksums.

#ifndef TERN_TESTS_TESTING_FORGED_MODEL_H_
#define TERN_TESTS_TESTING_FORGED_MODEL_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "tern/model/v1/model.pb.h"

namespace tern::testing {

// The length field's header, or nothing where it does not fit the file.
std::string_view HeaderBytes(std::string_view file);

// Puts these bytes in the place of the header and keeps the section area. No
// checksum is touched but that of the header, and the digest.
std::string ReplaceHeader(std::string_view file, std::string_view header);

// Recomputes, as far as the bytes allow it, the checksums of the sections, of
// the header, and the digest.
std::string Reseal(std::string file);

// Reads the file and, where that works, every node's weights, and checks that
// the model behaves: its weights have the sizes that the graph says, and it
// can be written and read again. The first error is the result; a model that
// does not behave ends the process.
absl::Status ExerciseModel(std::string_view file);

}  // namespace tern::testing

#endif  // TERN_TESTS_TESTING_FORGED_MODEL_H_
