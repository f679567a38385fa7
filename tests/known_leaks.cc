// What libraries leave behind at exit, once and however often the tests run (--gtest_repeat). Every test has it where
// it is built with sanitizers.
//   libcrypto: OpenSSL keeps a state for each thread; cpprestsdk's threads end after OpenSSL has cleaned up.
//   libcares: gRPC's resolver of names may still hold its channel when the process ends.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() {
  return "leak:libcrypto.so\nleak:libcares.so\n";
}
