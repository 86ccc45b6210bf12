// Pictures as text: two pixels a character cell, one above the other.
//
// Pure functions, thread-safe. Colours are the terminal escapes of ECMA-48
// SGR 38/48 with either 24 bits or the 6 x 6 x 6 cube of xterm; plain text is
// a ramp of ten characters from dark to light.

#ifndef TERN_CLIENTS_CPP_CLI_DRAW_H_
#define TERN_CLIENTS_CPP_CLI_DRAW_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "clients/cpp/cli/console.h"
#include "engine/image/image.h"
#include "tern/v1/inference.pb.h"

namespace tern::client {

// The pixels of `image`, 3 channels; decodes where needed.
absl::StatusOr<Image> PixelsToDraw(const v1::Image& image);

// Columns that Draw takes.
int DrawnColumns(const Image& image);

// One string for each line of text, without line ends. A picture larger than
// 32 columns or rows of pixels is made smaller; the aspect ratio is kept.
std::vector<std::string> Draw(const Image& image, Palette palette);

}  // namespace tern::client

#endif  // TERN_CLIENTS_CPP_CLI_DRAW_H_
