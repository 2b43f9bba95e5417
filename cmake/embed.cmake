# cmake -D OUT=file.cc -D ROOT=folder -D "FILES=a;b" -P embed.cmake: the files by their names below ROOT, taken in by the assembler:
# compilers bound the length of literals, and read long ones slowly.
set(asm "")
set(declarations "")
set(rows "")
set(number 0)
foreach(name IN LISTS FILES)
  set(symbol "weir_embedded_${number}")
  string(APPEND asm "__asm__(\".pushsection .rodata\\n${symbol}: .incbin \\\"${ROOT}/${name}\\\"\\n${symbol}_end: .byte 0\\n.popsection\\n\");\n")
  string(APPEND declarations "extern \"C\" const char ${symbol}[], ${symbol}_end[];\n")
  string(APPEND rows "    {\"${name}\", {${symbol}, static_cast<size_t>(${symbol}_end - ${symbol})}},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE "${OUT}" "// Made by cmake/embed.cmake.
#include \"ops/data/embedded.h\"

${asm}
${declarations}
namespace weir::ops {

std::span<const EmbeddedFile> embedded_files() {
  static const EmbeddedFile files[] = {
${rows}  };
  return files;
}

}  // namespace weir::ops
")
