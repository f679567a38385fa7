// OpenSSL keeps a state for each thread, which cpprestsdk's threads leave behind at exit: they end after OpenSSL has
// cleaned up. It is the same however often the tests run (--gtest_repeat).
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() {
  return "leak:libcrypto.so\n";
}
