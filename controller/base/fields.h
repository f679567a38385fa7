#pragma once

// How our plain structs are written down. A struct that is journalled, saved or compared byte for byte lists its
// members once, by name:
//
//   struct Lease {
//     int64_t term = 0;
//     absl::Time expires;
//     template <class Self, class Visitor>
//     static void Fields(Self& self, Visitor&& visit) { visit("term", self.term); visit("expires", self.expires); }
//   };
//
// Everything else follows from that list: the binary archive and its canonical bytes (runtime/archive.h) and the JSON
// of a dump. A name is a promise to saved files: an unknown one is skipped, a missing one keeps its default, so state
// written by one release is read by the next and by the one before it.

namespace headroom {

template <typename T, typename Visitor>
concept HasFields = requires(T& value, Visitor visitor) {
  T::Fields(value, visitor);
};

}  // namespace headroom
