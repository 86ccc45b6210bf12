#include "clients/cpp/cli/only_model.h"

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace tern::client {

absl::Status FillInModel(Client* client, ModelName* name) {
  if (!name->model.empty()) return absl::OkStatus();
  const auto list = client->ListModels("");
  if (!list.ok()) return list.status();
  std::set<std::string> ready;
  for (const v1::ModelStatus& model : list->models()) {
    if (model.state() == v1::MODEL_STATE_READY) ready.insert(model.model());
  }
  if (ready.empty()) {
    return absl::FailedPreconditionError(
        "the server has no model that is ready; `tern models list` shows why, "
        "`tern models upload FILE.twn --model=NAME` adds one");
  }
  if (ready.size() > 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--model: say which one, the server has ", absl::StrJoin(ready, ", ")));
  }
  name->model = *ready.begin();
  return absl::OkStatus();
}

}  // namespace tern::client
