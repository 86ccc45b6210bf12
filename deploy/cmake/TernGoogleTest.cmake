# GoogleTest from its sources (Debian package googletest), for processors that
# its libraries are not installed for: GTest::gtest, GTest::gmock, ...
set(INSTALL_GTEST OFF)
add_subdirectory(/usr/src/googletest googletest EXCLUDE_FROM_ALL)
