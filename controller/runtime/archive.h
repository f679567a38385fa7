#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/base/boxed_map.h"

// The binary archive: one writer and one reader for everything that lists its Fields (base/fields.h).
//
//   std::string bytes = ToArchive(state);
//   absl::StatusOr<State> state = FromArchive<State>(bytes);
//
// An archive is a magic word, the schema of its value, and the value. The schema is text and stands there once, so a
// value carries no names and a reader of the same release compares two strings and reads straight on; any other reader
// follows the names in it:
//
//   u unsigned, bool, enum   i signed   d double   s string   t time   p duration
//   ?X optional   [X list or array   <KV map   {name:X,...} struct   (Name:X,...) variant
//
// Promises:
//   - The same value has the same bytes. Doubles are exact to the bit, but -0 is written as 0 and every NaN as one NaN;
//     times and durations are exact to the quarter nanosecond, infinite ones too.
//   - A field that is unknown, or has another kind than ours, is skipped; one that is missing keeps its default. The
//     alternatives of a variant are known by their type's name, so their order may change and new ones may be added;
//     a value of an alternative that this release lacks cannot be read.
//   - Reading trusts nothing: broken bytes give DATA_LOSS, and memory is bounded by kMemoryRatio times the archive.
// Any thread.

namespace headroom {

namespace archive_internal {

inline constexpr size_t kSchemaBytesMax = size_t{1} << 16;
inline constexpr int kDepthMax = 32;
inline constexpr size_t kMemoryRatio = 64;
inline constexpr size_t kMemoryFree = size_t{16} << 20;

template <typename T, template <typename...> typename Template>
inline constexpr bool kIs = false;
template <template <typename...> typename Template, typename... Ts>
inline constexpr bool kIs<Template<Ts...>, Template> = true;

template <typename T>
inline constexpr bool kIsArray = false;
template <typename T, size_t N>
inline constexpr bool kIsArray<std::array<T, N>> = true;

struct AnyVisitor {
  template <typename T>
  void operator()(const char*, T&&) const {}
};

template <typename T>
concept Struct = requires(T& value, AnyVisitor visitor) {
  T::Fields(value, visitor);
};
template <typename T>
concept Whole = std::integral<T> || std::is_enum_v<T>;
template <typename T>
concept Growing = kIs<T, std::vector> || kIs<T, std::deque>;
template <typename T>
concept Keyed = kIs<T, std::map> || kIs<T, BoxedMap>;
template <typename T>
concept List = Growing<T> || kIsArray<T>;

// "NodeReported" of headroom::NodeReported.
template <typename T>
constexpr absl::string_view TypeName() {
  absl::string_view name = __PRETTY_FUNCTION__;
  name.remove_prefix(name.find("T = ") + 4);
  name = name.substr(0, name.find_first_of(";]"));
  const size_t last = name.rfind("::");
  return last == absl::string_view::npos ? name : name.substr(last + 2);
}

template <typename T>
void AppendSchema(std::string& out);

template <typename T>
std::string AlternativeName() {
  if constexpr (Struct<T>) return std::string(TypeName<T>());
  std::string kind;
  AppendSchema<T>(kind);
  return kind;
}

template <typename Variant, size_t... I>
void AppendAlternatives(std::string& out, std::index_sequence<I...>) {
  ((out += AlternativeName<std::variant_alternative_t<I, Variant>>(), out += ':',
    AppendSchema<std::variant_alternative_t<I, Variant>>(out), out += ','),
   ...);
}

struct SchemaVisitor {
  std::string& out;
  template <typename T>
  void operator()(const char* name, const T&) const {
    out.append(name);
    out += ':';
    AppendSchema<T>(out);
    out += ',';
  }
};

template <typename T>
constexpr char KindOf() {
  if constexpr (Struct<T>) return '{';
  if constexpr (Whole<T>) return std::is_signed_v<T> && !std::is_enum_v<T> ? 'i' : 'u';
  if constexpr (std::is_same_v<T, double>) return 'd';
  if constexpr (std::is_same_v<T, std::string>) return 's';
  if constexpr (std::is_same_v<T, absl::Time>) return 't';
  if constexpr (std::is_same_v<T, absl::Duration>) return 'p';
  if constexpr (kIs<T, std::optional>) return '?';
  if constexpr (List<T>) return '[';
  if constexpr (Keyed<T>) return '<';
  if constexpr (kIs<T, std::variant>) return '(';
  return 0;
}

template <typename T>
void AppendSchema(std::string& out) {
  static_assert(KindOf<T>() != 0, "this type cannot be archived");
  out += KindOf<T>();
  if constexpr (Struct<T>) {
    const T value{};
    T::Fields(value, SchemaVisitor{out});
    out += '}';
  } else if constexpr (kIs<T, std::variant>) {
    AppendAlternatives<T>(out, std::make_index_sequence<std::variant_size_v<T>>());
    out += ')';
  } else if constexpr (Keyed<T>) {
    AppendSchema<typename T::key_type>(out);
    AppendSchema<typename T::mapped_type>(out);
  } else if constexpr (kIs<T, std::optional> || List<T>) {
    AppendSchema<typename T::value_type>(out);
  }
}

template <typename T>
const std::string& SchemaOf() {
  static const std::string* const schema = [] {
    auto* text = new std::string;
    AppendSchema<T>(*text);
    return text;
  }();
  return *schema;
}

constexpr uint64_t ZigZag(int64_t value) {
  return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}
constexpr int64_t UnZigZag(uint64_t value) {
  return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
}

template <Whole T>
constexpr uint64_t ToWire(T value) {
  if constexpr (std::signed_integral<T>)
    return ZigZag(value);
  else
    return static_cast<uint64_t>(value);
}

// A whole number that fits T, else nothing.
template <Whole T>
constexpr std::optional<T> FromWire(uint64_t wire) {
  if constexpr (std::is_enum_v<T>) {
    if (!std::in_range<std::underlying_type_t<T>>(wire)) return std::nullopt;
    return static_cast<T>(wire);
  } else if constexpr (std::is_same_v<T, bool>) {
    return wire > 1 ? std::nullopt : std::optional<bool>(wire == 1);
  } else if constexpr (std::is_signed_v<T>) {
    if (!std::in_range<T>(UnZigZag(wire))) return std::nullopt;
    return static_cast<T>(UnZigZag(wire));
  } else {
    if (!std::in_range<T>(wire)) return std::nullopt;
    return static_cast<T>(wire);
  }
}

class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  template <typename T>
  void Put(const T& value) {
    if constexpr (Struct<T>) {
      T::Fields(value, [&](const char*, const auto& member) { Put(member); });
    } else if constexpr (Whole<T>) {
      PutVarint(ToWire(value));
    } else if constexpr (std::is_same_v<T, double>) {
      PutDouble(value);
    } else if constexpr (std::is_same_v<T, std::string>) {
      PutVarint(value.size());
      out_ += value;
    } else if constexpr (std::is_same_v<T, absl::Time>) {
      PutDuration(value - absl::UnixEpoch());
    } else if constexpr (std::is_same_v<T, absl::Duration>) {
      PutDuration(value);
    } else if constexpr (kIs<T, std::optional>) {
      out_ += static_cast<char>(value.has_value());
      if (value) Put(*value);
    } else if constexpr (List<T>) {
      PutList(value);
    } else if constexpr (Keyed<T>) {
      PutVarint(value.size());
      for (const auto& [key, mapped] : value) Put(key), Put(mapped);
    } else {
      PutVarint(value.index());
      std::visit([&](const auto& alternative) { Put(alternative); }, value);
    }
  }

  void PutVarint(uint64_t value) {
    while (value >= 0x80) {
      out_ += static_cast<char>(value | 0x80);
      value >>= 7;
    }
    out_ += static_cast<char>(value);
  }

 private:
  // Whole numbers: a run of zeros is a zero and its length less one. Histograms are mostly zeros.
  template <typename T>
  void PutList(const T& list) {
    PutVarint(list.size());
    if constexpr (Whole<typename T::value_type>) {
      for (size_t i = 0; i < list.size(); ++i) {
        const uint64_t wire = ToWire(list[i]);
        PutVarint(wire);
        if (wire != 0) continue;
        const size_t first = i;
        while (i + 1 < list.size() && ToWire(list[i + 1]) == 0) ++i;
        PutVarint(i - first);
      }
    } else {
      for (const auto& element : list) Put(element);
    }
  }
  void PutDouble(double value);
  void PutDuration(absl::Duration value);

  std::string& out_;
};

// A schema as it was read. Lists and optionals have one part, maps two, structs and variants one for each name.
struct Shape {
  char kind = 0;
  std::vector<std::string> names;
  std::vector<Shape> parts;
};
std::optional<Shape> ParseShape(absl::string_view schema);

// Reads without trust: the first fault makes failed() true and everything after it empty.
class Reader {
 public:
  explicit Reader(absl::string_view bytes) : bytes_(bytes), memory_left_(kMemoryFree + kMemoryRatio * bytes.size()) {}

  // A null shape says: written by this very schema.
  template <typename T>
  void Get(T& value, const Shape* shape) {
    if (shape != nullptr && !Fits<T>(*shape)) return Skip(*shape);
    if constexpr (Struct<T>) {
      GetStruct(value, shape);
    } else if constexpr (Whole<T>) {
      if (const auto whole = FromWire<T>(GetVarint()))
        value = *whole;
      else
        Fail();
    } else if constexpr (std::is_same_v<T, double>) {
      value = GetDouble();
    } else if constexpr (std::is_same_v<T, std::string>) {
      value = std::string(GetBytes(GetVarint()));
    } else if constexpr (std::is_same_v<T, absl::Time>) {
      value = absl::UnixEpoch() + GetDuration();
    } else if constexpr (std::is_same_v<T, absl::Duration>) {
      value = GetDuration();
    } else if constexpr (kIs<T, std::optional>) {
      value.reset();
      if (GetByte() != 0) Get(value.emplace(), Part(shape, 0));
    } else if constexpr (List<T>) {
      GetList(value, Part(shape, 0));
    } else if constexpr (Keyed<T>) {
      GetMap(value, shape);
    } else {
      GetVariant(value, shape);
    }
  }

  uint64_t GetVarint() {
    if (position_ < bytes_.size() && static_cast<uint8_t>(bytes_[position_]) < 0x80) {
      return static_cast<uint8_t>(bytes_[position_++]);
    }
    return GetLongVarint();
  }
  absl::string_view GetBytes(uint64_t size);
  bool failed() const { return failed_; }
  bool at_end() const { return position_ == bytes_.size(); }

 private:
  static const Shape* Part(const Shape* shape, size_t index) {
    return shape == nullptr ? nullptr : &shape->parts[index];
  }

  // Runs of zeros make lists of whole numbers a kind of their own.
  template <typename T>
  static bool Fits(const Shape& shape) {
    if (shape.kind != KindOf<T>()) return false;
    if constexpr (List<T>) {
      return !Whole<typename T::value_type> || shape.parts[0].kind == KindOf<typename T::value_type>();
    }
    return true;
  }

  template <typename T>
  void GetStruct(T& value, const Shape* shape) {
    if (shape == nullptr) {
      T::Fields(value, [&](const char*, auto& member) { Get(member, nullptr); });
      return;
    }
    for (size_t i = 0; i < shape->names.size() && !failed_; ++i) {
      bool known = false;
      T::Fields(value, [&](const char* name, auto& member) {
        if (known || shape->names[i] != name) return;
        known = true;
        Get(member, &shape->parts[i]);
      });
      if (!known) Skip(shape->parts[i]);
    }
  }

  template <typename T>
  void GetList(T& list, const Shape* part) {
    using Element = typename T::value_type;
    if constexpr (Growing<T>) list.clear();
    const uint64_t count = GetCount(sizeof(Element));
    for (uint64_t i = 0; i < count && !failed_;) {
      Element element{};
      Get(element, part);
      if constexpr (Whole<Element>) {
        const uint64_t run = ToWire(element) == 0 ? 1 + GetVarint() : 1;
        if (run == 0 || run > count - i) return Fail();
        for (const uint64_t end = i + run; i < end; ++i) Take(list, i, element);
      } else {
        Take(list, i++, std::move(element));
      }
    }
  }
  template <typename T>
  static void Take(T& list, uint64_t index, typename T::value_type element) {
    if constexpr (Growing<T>)
      list.push_back(std::move(element));
    else if (index < list.size())
      list[static_cast<size_t>(index)] = std::move(element);
  }

  template <typename T>
  void GetMap(T& map, const Shape* shape) {
    map.clear();
    const uint64_t count = GetCount(sizeof(typename T::value_type));
    for (uint64_t i = 0; i < count && !failed_; ++i) {
      typename T::key_type key{};
      Get(key, Part(shape, 0));
      Get(map.emplace(std::move(key), typename T::mapped_type{}).first->second, Part(shape, 1));
    }
  }

  template <typename T>
  void GetVariant(T& value, const Shape* shape) {
    const uint64_t index = GetVarint();
    const size_t alternatives = shape == nullptr ? std::variant_size_v<T> : shape->names.size();
    if (index >= alternatives) return Fail();
    if (!GetAlternative(value, static_cast<size_t>(index), shape, std::make_index_sequence<std::variant_size_v<T>>())) {
      Fail();
    }
  }

  template <typename T, size_t... I>
  bool GetAlternative(T& value, size_t index, const Shape* shape, std::index_sequence<I...>) {
    const auto matches = [&]<size_t Ours>() {
      if (shape == nullptr) return Ours == index;
      return shape->names[index] == AlternativeName<std::variant_alternative_t<Ours, T>>();
    };
    return ((matches.template operator()<I>() && (Get(value.template emplace<I>(), Part(shape, index)), true)) || ...);
  }

  // A number of elements, each of `size` bytes in memory.
  uint64_t GetCount(size_t size);
  uint64_t GetLongVarint();
  uint8_t GetByte();
  double GetDouble();
  absl::Duration GetDuration();
  void Skip(const Shape& shape);
  void SkipList(const Shape& part);
  void Fail() {
    failed_ = true;
    position_ = bytes_.size();
  }

  absl::string_view bytes_;
  size_t position_ = 0;
  size_t memory_left_;
  bool failed_ = false;
};

// Writes the magic word and the schema.
void PutHeader(Writer& writer, std::string& out, absl::string_view schema);
// Reads them; the schema, or nothing when it is no archive.
std::optional<absl::string_view> GetHeader(Reader& reader);

}  // namespace archive_internal

// The value with its schema.
template <typename T>
std::string ToArchive(const T& value) {
  std::string out;
  archive_internal::Writer writer(out);
  archive_internal::PutHeader(writer, out, archive_internal::SchemaOf<T>());
  writer.Put(value);
  return out;
}

// DATA_LOSS: the bytes are broken, or of a release that this one cannot understand.
template <typename T>
absl::StatusOr<T> FromArchive(absl::string_view bytes) {
  archive_internal::Reader reader(bytes);
  const std::optional<absl::string_view> schema = archive_internal::GetHeader(reader);
  if (!schema) return absl::DataLossError("not an archive, or its head is broken");
  T value{};
  if (*schema == archive_internal::SchemaOf<T>()) {
    reader.Get(value, nullptr);
  } else {
    const std::optional<archive_internal::Shape> shape = archive_internal::ParseShape(*schema);
    if (!shape) return absl::DataLossError("archive: its schema is broken");
    reader.Get(value, &*shape);
  }
  if (reader.failed() || !reader.at_end()) return absl::DataLossError("archive: its content is broken");
  return value;
}

}  // namespace headroom
