# Which container tool this machine has, and how it works here. Sourced by the
# scripts beside it; TERN_CONTAINER_TOOL names one to use instead.

# Prints the first tool that works; else, on stderr, why each does not.
pick_tool() {
  local tool why reasons=""
  for tool in ${TERN_CONTAINER_TOOL:-docker podman buildah}; do
    if ! command -v "$tool" >/dev/null; then
      reasons+="  $tool: not installed"$'\n'
    elif ! why="$("$tool" info 2>&1 >/dev/null)"; then
      reasons+="  $tool: $(head -n 1 <<<"$why")"$'\n'
    else
      echo "$tool"
      return
    fi
  done
  printf 'no container tool works here:\n%s' "$reasons" >&2
  echo "install Docker, or Debian's packages with: deploy/packages/install image" >&2
  return 1
}

# Sets `run_flags` to what containers of image $2 need to start under tool $1
# here: nothing, or low limits where raising them is forbidden, or the host's
# network where no other can be made. Prints the reason and fails where nothing
# helps.
find_run_flags() {
  local tool="$1" image="$2" error=""
  local limits="--ulimit nofile=1024:1024 --ulimit nproc=1000:1000"
  for run_flags in "" "$limits" "--network host" "$limits --network host"; do
    # shellcheck disable=SC2086  # flags are words
    if error="$("$tool" run --rm $run_flags "$image" --help 2>&1 >/dev/null)"; then
      return
    fi
  done
  echo "$tool cannot start a container here: $(tail -n 1 <<<"$error")" >&2
  return 1
}
