# Debian 12's libraries; deploy/packages/debian.txt is the list that installs
# them.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(Protobuf REQUIRED)
find_package(absl REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(ZLIB REQUIRED)
find_package(JPEG REQUIRED)
pkg_check_modules(spng REQUIRED IMPORTED_TARGET spng)
find_package(GTest REQUIRED)
find_package(benchmark REQUIRED)
if(TERN_SERVICES)
  find_package(gRPC REQUIRED)
  # Only the registry and serializer; the package's CMake file asks for curl.
  pkg_check_modules(prometheus REQUIRED IMPORTED_TARGET prometheus-cpp-core)
  find_package(spdlog REQUIRED)
  find_package(CLI11 REQUIRED)
  find_package(nlohmann_json REQUIRED)
  pkg_check_modules(microhttpd REQUIRED IMPORTED_TARGET libmicrohttpd)
endif()

# oneDNN: Debian's package configuration asks for OpenCL headers that a CPU
# build does not use, so the library is looked up by name.
find_path(TERN_DNNL_INCLUDE oneapi/dnnl/dnnl.hpp REQUIRED)
find_library(TERN_DNNL_LIBRARY dnnl REQUIRED)
add_library(DNNL::dnnl SHARED IMPORTED)
set_target_properties(DNNL::dnnl PROPERTIES
  IMPORTED_LOCATION ${TERN_DNNL_LIBRARY}
  INTERFACE_INCLUDE_DIRECTORIES ${TERN_DNNL_INCLUDE})
