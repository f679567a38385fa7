#include "controller/runtime/archive.h"

#include <cmath>

#include "absl/strings/match.h"

namespace headroom::archive_internal {
namespace {

constexpr absl::string_view kMagic = "HRA1";
constexpr int64_t kTicksPerSecond = 4'000'000'000;  // absl::Duration counts quarter nanoseconds
constexpr uint64_t kPlusInfinity = kTicksPerSecond, kMinusInfinity = kTicksPerSecond + 1;

bool TakeChar(absl::string_view& text, char wanted) {
  if (text.empty() || text.front() != wanted) return false;
  text.remove_prefix(1);
  return true;
}

std::optional<Shape> TakeShape(absl::string_view& text, int depth);

bool TakeParts(absl::string_view& text, int depth, int count, Shape& shape) {
  for (int i = 0; i < count; ++i) {
    std::optional<Shape> part = TakeShape(text, depth + 1);
    if (!part) return false;
    shape.parts.push_back(*std::move(part));
  }
  return true;
}

bool TakeNamedParts(absl::string_view& text, int depth, char end, Shape& shape) {
  while (!TakeChar(text, end)) {
    const size_t colon = text.find(':');
    if (colon == absl::string_view::npos) return false;
    shape.names.emplace_back(text.substr(0, colon));
    text.remove_prefix(colon + 1);
    if (!TakeParts(text, depth, 1, shape) || !TakeChar(text, ',')) return false;
  }
  return true;
}

std::optional<Shape> TakeShape(absl::string_view& text, int depth) {
  if (text.empty() || depth > kDepthMax) return std::nullopt;
  Shape shape;
  shape.kind = text.front();
  text.remove_prefix(1);
  bool good = false;
  switch (shape.kind) {
    case 'u':
    case 'i':
    case 'd':
    case 's':
    case 't':
    case 'p':
      good = true;
      break;
    case '?':
    case '[':
      good = TakeParts(text, depth, 1, shape);
      break;
    case '<':
      good = TakeParts(text, depth, 2, shape);
      break;
    case '{':
      good = TakeNamedParts(text, depth, '}', shape);
      break;
    case '(':
      good = TakeNamedParts(text, depth, ')', shape);
      break;
    default:
      break;
  }
  if (!good) return std::nullopt;
  return shape;
}

}  // namespace

std::optional<Shape> ParseShape(absl::string_view schema) {
  std::optional<Shape> shape = TakeShape(schema, 0);
  if (!schema.empty()) return std::nullopt;
  return shape;
}

void PutHeader(Writer& writer, std::string& out, absl::string_view schema) {
  out.append(kMagic.data(), kMagic.size());
  writer.PutVarint(schema.size());
  out.append(schema.data(), schema.size());
}

std::optional<absl::string_view> GetHeader(Reader& reader) {
  if (reader.GetBytes(kMagic.size()) != kMagic) return std::nullopt;
  const uint64_t size = reader.GetVarint();
  if (size > kSchemaBytesMax) return std::nullopt;
  const absl::string_view schema = reader.GetBytes(size);
  if (reader.failed()) return std::nullopt;
  return schema;
}

void Writer::PutDouble(double value) {
  if (value == 0) value = 0;
  uint64_t bits = std::bit_cast<uint64_t>(std::isnan(value) ? std::numeric_limits<double>::quiet_NaN() : value);
  for (int i = 0; i < 8; ++i, bits >>= 8) out_ += static_cast<char>(bits);
}

void Writer::PutDuration(absl::Duration value) {
  if (value == absl::InfiniteDuration() || value == -absl::InfiniteDuration()) {
    PutVarint(0);
    return PutVarint(value > absl::ZeroDuration() ? kPlusInfinity : kMinusInfinity);
  }
  absl::Duration rest;
  int64_t seconds = absl::IDivDuration(value, absl::Seconds(1), &rest);
  if (rest < absl::ZeroDuration()) --seconds, rest += absl::Seconds(1);
  const int64_t nanos = absl::ToInt64Nanoseconds(rest);
  rest -= absl::Nanoseconds(nanos);
  const int64_t quarters = rest == absl::ZeroDuration() ? 0 : absl::IDivDuration(rest, absl::Nanoseconds(1) / 4, &rest);
  PutVarint(ZigZag(seconds));
  PutVarint(static_cast<uint64_t>(nanos * 4 + quarters));
}

absl::Duration Reader::GetDuration() {
  const int64_t seconds = UnZigZag(GetVarint());
  const uint64_t ticks = GetVarint();
  if (ticks == kPlusInfinity) return absl::InfiniteDuration();
  if (ticks == kMinusInfinity) return -absl::InfiniteDuration();
  if (ticks >= kTicksPerSecond) Fail();
  return absl::Seconds(seconds) + absl::Nanoseconds(static_cast<int64_t>(ticks / 4)) +
         static_cast<int64_t>(ticks % 4) * (absl::Nanoseconds(1) / 4);
}

double Reader::GetDouble() {
  const absl::string_view bytes = GetBytes(8);
  uint64_t bits = 0;
  for (size_t i = bytes.size(); i > 0; --i) bits = bits << 8 | static_cast<uint8_t>(bytes[i - 1]);
  return std::bit_cast<double>(bits);
}

absl::string_view Reader::GetBytes(uint64_t size) {
  if (size > bytes_.size() - position_) {
    Fail();
    return {};
  }
  const absl::string_view bytes = bytes_.substr(position_, static_cast<size_t>(size));
  position_ += bytes.size();
  return bytes;
}

uint8_t Reader::GetByte() {
  const absl::string_view byte = GetBytes(1);
  return byte.empty() ? uint8_t{0} : static_cast<uint8_t>(byte.front());
}

uint64_t Reader::GetLongVarint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const uint8_t byte = GetByte();
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  Fail();
  return 0;
}

uint64_t Reader::GetCount(size_t size) {
  const uint64_t count = GetVarint();
  if (count > memory_left_ / size) {
    Fail();
    return 0;
  }
  memory_left_ -= static_cast<size_t>(count) * size;
  return count;
}

void Reader::Skip(const Shape& shape) {
  if (failed_) return;
  switch (shape.kind) {
    case 'u':
    case 'i':
      GetVarint();
      return;
    case 'd':
      GetBytes(8);
      return;
    case 's':
      GetBytes(GetVarint());
      return;
    case 't':
    case 'p':
      GetDuration();
      return;
    case '?':
      if (GetByte() != 0) Skip(shape.parts[0]);
      return;
    case '[':
      return SkipList(shape.parts[0]);
    case '<':
      for (uint64_t left = GetCount(1); left > 0 && !failed_; --left) Skip(shape.parts[0]), Skip(shape.parts[1]);
      return;
    case '{':
      for (const Shape& part : shape.parts) Skip(part);
      return;
    default: {
      const uint64_t index = GetVarint();
      if (index >= shape.parts.size()) return Fail();
      Skip(shape.parts[static_cast<size_t>(index)]);
    }
  }
}

void Reader::SkipList(const Shape& part) {
  for (uint64_t left = GetCount(1); left > 0 && !failed_;) {
    uint64_t run = 1;
    if (part.kind == 'u' || part.kind == 'i') {
      if (GetVarint() == 0) run += GetVarint();
    } else {
      Skip(part);
    }
    if (run == 0 || run > left) return Fail();
    left -= run;
  }
}

}  // namespace headroom::archive_internal
