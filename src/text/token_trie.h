// Finds the special tokens written out in a text: leftmost, then longest. Any thread may search.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace weir::text {

// Longest piece that is accepted: a search costs at most this per byte of text.
inline constexpr size_t kMaxSpecialTokenBytes = 1024;

class TokenTrie {
 public:
  TokenTrie();

  // `always`: the token is matched in all text, not only where control tokens are allowed.
  // Precondition: 0 < piece.size() <= kMaxSpecialTokenBytes; each piece once.
  void insert(std::string_view piece, int32_t id, bool always);

  struct Match {
    int32_t id = -1;    // -1: none
    size_t length = 0;  // bytes
  };
  // The longest token that starts at text[at]; one that is not `always` must end at or before
  // `control_end`. Precondition: at < text.size().
  Match match(std::string_view text, size_t at, size_t control_end) const;

 private:
  struct Node {
    uint32_t first_child = 0;  // 0: none
    uint32_t next_sibling = 0;
    int32_t id = -1;
    uint8_t byte = 0;
    bool always = false;
  };
  uint32_t child(uint32_t node, uint8_t byte) const;

  std::vector<Node> nodes_;               // [0] is the root
  std::array<uint32_t, 256> roots_ = {};  // children of the root by byte
};

}  // namespace weir::text
