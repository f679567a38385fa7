#pragma once

#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace headroom {

// How a piece of text is meant; without colours all look the same.
enum class Tone { kPlain, kStrong, kFaint, kGood, kWarning, kBad };

// Text and its tone.
struct Cell {
  std::string text;
  Tone tone = Tone::kPlain;
  Cell(std::string cell_text, Tone cell_tone = Tone::kPlain)  // NOLINT(google-explicit-constructor)
      : text(std::move(cell_text)), tone(cell_tone) {}
};

enum class Colours { kOff, kOn };
// The text with its colour codes.
std::string Paint(const Cell& cell, Colours colours);

// Table: rows under headings, each column as wide as its widest cell, numbers to the right. The last column is not
// padded.
class Table {
 public:
  // A heading that begins with '>' is right-aligned.
  explicit Table(std::vector<std::string> headings);
  void Add(std::vector<Cell> row);
  bool empty() const { return rows_.empty(); }
  void Print(std::ostream& out, Colours colours) const;

 private:
  void PrintRow(std::ostream& out, const std::vector<Cell>& row, Colours colours) const;

  std::vector<bool> right_;
  std::vector<size_t> widths_;
  std::vector<Cell> headings_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace headroom
