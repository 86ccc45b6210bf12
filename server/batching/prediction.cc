#include "server/batching/prediction.h"

#include <algorithm>
#include <cstdint>

#include "engine/base/status_macros.h"

namespace tern::server {

Nanos TimeToFree(std::vector<Nanos> busy, Nanos work) {
  TERN_CHECK(!busy.empty());
  for (Nanos& time : busy) time = std::max(time, Nanos(0));
  std::sort(busy.begin(), busy.end());
  Nanos level = busy[0];
  std::size_t filled = 1;
  for (; filled < busy.size(); ++filled) {
    const Nanos room =
        (busy[filled] - level) * static_cast<std::int64_t>(filled);
    if (work <= room) break;
    work -= room;
    level = busy[filled];
  }
  return level + work / static_cast<std::int64_t>(filled);
}

}  // namespace tern::server
