# Guards the arrows between rooms (README.md has the picture):
#   cmake -DROOT=<source folder> -P tests/guards/check_layering.cmake
cmake_minimum_required(VERSION 3.25)

# room: the include prefixes it may use. "tern/model" are the messages of the
# model file's header, "tern/v1" and the rest of proto/ are the services.
set(allow_engine engine tern/model)
set(allow_server server engine tern)
set(allow_trainer trainer engine tern/model clients/cpp)
set(allow_clients/cpp clients/cpp engine/image engine/base tern)

# Inside the engine, a floor may include itself and the floors below; inside
# the server, batching and serving know no wire.
set(allow_engine/base engine/base)
set(allow_engine/image engine/image engine/base tern/model)
set(allow_engine/quant engine/quant engine/base)
set(allow_engine/model engine/model engine/quant engine/base tern/model)
set(allow_engine/kernels engine/kernels engine/base)
set(allow_engine/ops engine/ops engine/kernels engine/model engine/base tern/model)
set(server_base server/clock server/mutex server/status_details)
set(allow_server/batching server/batching ${server_base} engine tern/model)
set(allow_server/serving server/serving server/batching ${server_base} engine tern/model)

# Libraries that a room may not see.
set(deny_engine "grpcpp/|grpc/|prometheus/|microhttpd|spdlog/")
set(deny_server/batching "grpcpp/|grpc/|prometheus/|microhttpd")
set(deny_server/serving "grpcpp/|grpc/|prometheus/|microhttpd")
set(deny_trainer "grpcpp/|prometheus/|microhttpd")

# oneDNN has one door into the engine; the trainer uses it throughout.
set(dnnl_door "^(engine/ops/grid_product_onednn|trainer/)")

set(rooms engine server trainer clients/cpp
  engine/base engine/image engine/quant engine/model engine/kernels engine/ops
  server/batching server/serving)

function(check_line room name line)
  if(DEFINED deny_${room} AND line MATCHES "^#include [\"<](${deny_${room}})")
    message(SEND_ERROR "${name}: ${room}/ may not see this library: ${line}")
  endif()
  if(line MATCHES "^#include [\"<](oneapi/|dnnl)" AND NOT name MATCHES "${dnnl_door}")
    message(SEND_ERROR "${name}: may not include oneDNN")
  endif()
  if(line MATCHES "^#include [\"<]\\.\\.?/")
    message(SEND_ERROR "${name}: includes are named from the root: ${line}")
  endif()
  if(line MATCHES "^#include [\"<]((engine|server|trainer|clients|tests|tern)/.*)[\">]")
    set(target ${CMAKE_MATCH_1})
    foreach(prefix ${allow_${room}})
      if(target MATCHES "^${prefix}[/.]")
        return()
      endif()
    endforeach()
    message(SEND_ERROR "${name}: ${room}/ may not include ${target}")
  endif()
endfunction()

set(checked 0)
foreach(room ${rooms})
  file(GLOB_RECURSE files RELATIVE ${ROOT} ${ROOT}/${room}/*.h ${ROOT}/${room}/*.cc)
  foreach(name ${files})
    math(EXPR checked "${checked} + 1")
    file(STRINGS ${ROOT}/${name} lines REGEX "^[ \t]*#[ \t]*include[ \t]*[\"<]")
    foreach(line ${lines})
      string(REGEX REPLACE "^[ \t]*#[ \t]*include[ \t]*" "#include " line "${line}")
      check_line("${room}" "${name}" "${line}")
    endforeach()
  endforeach()
endforeach()
if(checked EQUAL 0)
  message(FATAL_ERROR "check_layering: no sources under ROOT='${ROOT}'")
endif()
message(STATUS "${checked} files keep to their floors")
