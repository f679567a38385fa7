# Run as a script by headroom_embed_descriptor: the bytes of FROM as an array in TO.
file(READ ${FROM} bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
file(WRITE ${TO} "#pragma once

// The schema of ${PROTO}, comments included.
namespace headroom {
inline constexpr unsigned char ${NAME}[] = {${bytes}};
}  // namespace headroom
")
