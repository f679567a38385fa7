#include "controller/cli/table.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace headroom {
namespace {

absl::string_view Code(Tone tone) {
  switch (tone) {
    case Tone::kPlain:
      return "";
    case Tone::kStrong:
      return "\x1b[1m";
    case Tone::kFaint:
      return "\x1b[2m";
    case Tone::kGood:
      return "\x1b[32m";
    case Tone::kWarning:
      return "\x1b[33m";
    case Tone::kBad:
      return "\x1b[31m";
  }
  return "";
}

}  // namespace

std::string Paint(const Cell& cell, Colours colours) {
  if (colours == Colours::kOff || cell.tone == Tone::kPlain || cell.text.empty()) return cell.text;
  return absl::StrCat(Code(cell.tone), cell.text, "\x1b[0m");
}

Table::Table(std::vector<std::string> headings) {
  for (std::string& heading : headings) {
    const bool right = !heading.empty() && heading[0] == '>';
    right_.push_back(right);
    headings_.emplace_back(right ? heading.substr(1) : heading, Tone::kFaint);
    widths_.push_back(headings_.back().text.size());
  }
}

void Table::Add(std::vector<Cell> row) {
  for (size_t i = 0; i < row.size() && i < widths_.size(); ++i) widths_[i] = std::max(widths_[i], row[i].text.size());
  rows_.push_back(std::move(row));
}

void Table::PrintRow(std::ostream& out, const std::vector<Cell>& row, Colours colours) const {
  for (size_t i = 0; i < row.size() && i < widths_.size(); ++i) {
    const std::string padding(widths_[i] - row[i].text.size(), ' ');
    const bool last = i + 1 == row.size();
    if (right_[i]) out << padding;
    out << Paint(row[i], colours);
    if (!right_[i] && !last) out << padding;
    if (!last) out << "  ";
  }
  out << '\n';
}

void Table::Print(std::ostream& out, Colours colours) const {
  PrintRow(out, headings_, colours);
  for (const auto& row : rows_) PrintRow(out, row, colours);
}

}  // namespace headroom
