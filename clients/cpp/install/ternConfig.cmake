# find_package(tern) gives tern::client; it needs the packages that Tern was
# built with.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
find_dependency(Protobuf)
find_dependency(absl)
find_dependency(OpenSSL)
find_dependency(gRPC)
include(${CMAKE_CURRENT_LIST_DIR}/ternTargets.cmake)
