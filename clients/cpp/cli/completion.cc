#include "clients/cpp/cli/completion.h"

#include "absl/strings/str_cat.h"

namespace tern::client {
namespace {

// "--server=" for an option with a value, "--json" for a flag.
std::string WordsOf(const CLI::App& app) {
  std::string words;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      absl::StrAppend(&words, "--", name,
                      option->get_expected_max() > 0 ? "= " : " ");
    }
  }
  return words;
}

// One line for each command path: "models list") words="..." ;;
void AppendCases(const CLI::App& app, const std::string& path,
                 const std::string& inherited, std::string* out) {
  std::string commands;
  for (const CLI::App* child : app.get_subcommands({})) {
    absl::StrAppend(&commands, child->get_name(), " ");
  }
  absl::StrAppend(out, "    \"", path, "\") words=\"", commands, WordsOf(app),
                  inherited, "\" ;;\n");
  const std::string passed_on = absl::StrCat(WordsOf(app), inherited);
  for (const CLI::App* child : app.get_subcommands({})) {
    AppendCases(*child,
                absl::StrCat(path, path.empty() ? "" : " ", child->get_name()),
                passed_on, out);
  }
}

}  // namespace

std::string CompletionScript(const CLI::App& app, Shell shell) {
  std::string cases;
  AppendCases(app, "", "", &cases);
  std::string names;
  for (const CLI::App* child : app.get_subcommands({})) {
    absl::StrAppend(&names, child->get_name(), "|");
    for (const CLI::App* grandchild : child->get_subcommands({})) {
      absl::StrAppend(&names, grandchild->get_name(), "|");
    }
  }
  if (!names.empty()) names.pop_back();
  // zsh runs completion functions of bash once told to.
  return absl::StrCat(
      shell == Shell::kZsh ? "autoload -U +X compinit && compinit\n"
                             "autoload -U +X bashcompinit && bashcompinit\n"
                           : "",
      "_tern() {\n"
      "  local word=\"${COMP_WORDS[COMP_CWORD]}\" path= words= i\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    case \"${COMP_WORDS[i]}\" in\n      ",
      names,
      ") path=\"${path:+$path }${COMP_WORDS[i]}\" ;;\n"
      "    esac\n"
      "  done\n"
      "  case \"$path\" in\n",
      cases,
      "  esac\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
      "  [[ \"${COMPREPLY[0]:-}\" != *= ]] || compopt -o nospace 2>/dev/null\n"
      "}\n"
      "complete -o default -F _tern tern\n");
}

}  // namespace tern::client
