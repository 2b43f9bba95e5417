#include "os/build_id.h"

#include <elf.h>
#include <link.h>

#include <cstddef>
#include <cstring>
#include <string_view>

namespace weir::os {
namespace {

constexpr size_t aligned(size_t bytes) { return (bytes + 3) & ~size_t{3}; }

std::string hex(const unsigned char* bytes, size_t count) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < count; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

// Of a segment of notes, each a header, a name and a descriptor, padded to four bytes.
std::string id_of_notes(const unsigned char* at, size_t left) {
  while (left >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) note;
    std::memcpy(&note, at, sizeof note);
    const size_t name = sizeof note;
    const size_t value = name + aligned(note.n_namesz);
    const size_t end = value + aligned(note.n_descsz);
    if (end > left) break;
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
        std::memcmp(at + name, "GNU", 4) == 0)
      return hex(at + value, note.n_descsz);
    at += end;
    left -= end;
  }
  return {};
}

// Called for the program first; a result other than 0 ends the walk.
int visit(dl_phdr_info* object, size_t /*size*/, void* result) {
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    std::string id =
        id_of_notes(reinterpret_cast<const unsigned char*>(object->dlpi_addr + segment.p_vaddr),
                    segment.p_memsz);
    if (!id.empty()) *static_cast<std::string*>(result) = std::move(id);
  }
  return 1;
}

}  // namespace

std::string build_id() {
  std::string id;
  dl_iterate_phdr(visit, &id);
  return id;
}

}  // namespace weir::os
