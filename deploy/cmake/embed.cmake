# headroom_embed(FILE NAME HEADER): a text file as `inline constexpr char NAME[]` in a generated header, made again when the
# file changes.
function(headroom_embed FILE NAME HEADER)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${FILE})
  file(READ ${FILE} TEXT)
  # A string literal may have 64 KiB, so it is made of pieces; none of them cuts a character in two.
  string(REPLACE "\n" ")text\"\nR\"text(\n" TEXT "${TEXT}")
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/headroom/${HEADER} @ONLY CONTENT
"#pragma once

// Made of ${FILE}.
namespace headroom {
inline constexpr char ${NAME}[] = R\"text(@TEXT@)text\";
}  // namespace headroom
")
endfunction()
