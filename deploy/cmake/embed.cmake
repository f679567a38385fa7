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

# headroom_embed_descriptor(PROTO NAME HEADER): the compiled schema of a .proto with its comments, as a serialized
# FileDescriptorSet in `inline constexpr unsigned char NAME[]` of a generated header.
function(headroom_embed_descriptor PROTO NAME HEADER)
  set(set ${CMAKE_BINARY_DIR}/generated/headroom/${NAME}.descriptor)
  set(header ${CMAKE_BINARY_DIR}/generated/headroom/${HEADER})
  add_custom_command(
    OUTPUT ${header}
    COMMAND protobuf::protoc --include_source_info --include_imports --descriptor_set_out=${set} -I ${CMAKE_SOURCE_DIR}/proto ${PROTO}
    COMMAND ${CMAKE_COMMAND} -DFROM=${set} -DNAME=${NAME} -DPROTO=${PROTO} -DTO=${header}
            -P ${CMAKE_SOURCE_DIR}/deploy/cmake/bytes.cmake
    DEPENDS ${CMAKE_SOURCE_DIR}/proto/${PROTO} ${CMAKE_SOURCE_DIR}/deploy/cmake/bytes.cmake
    VERBATIM)
endfunction()
