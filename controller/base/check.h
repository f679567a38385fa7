#pragma once

#include <cstdio>
#include <cstdlib>

// HR_CHECK(condition): stays on in release. For what only a bug in this program can make false; what the world does
// is an absl::Status. Prints file, line and condition to stderr and aborts.
#define HR_CHECK(condition)                                                                 \
  do {                                                                                      \
    if (!(condition)) [[unlikely]] {                                                        \
      std::fprintf(stderr, "%s:%d: HR_CHECK failed: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                         \
    }                                                                                       \
  } while (false)
