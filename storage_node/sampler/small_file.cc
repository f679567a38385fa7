#include "storage_node/sampler/small_file.h"

#include <fcntl.h>
#include <unistd.h>

namespace headroom {

std::optional<std::string> ReadSmallFile(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return std::nullopt;
  std::string text;
  char block[4096];
  ssize_t length = 0;
  while ((length = read(file, block, sizeof block)) > 0) text.append(block, static_cast<size_t>(length));
  close(file);
  if (length < 0) return std::nullopt;
  return text;
}

}  // namespace headroom
