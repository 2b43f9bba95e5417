// The readers of each form; read.h puts them together. Inside of src/ops/deploy.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/yaml.h"
#include "ops/deploy/deployment.h"
#include "ops/deploy/node_path.h"

namespace weir::ops {

// What the readers share. Borrowed for the time of reading.
struct ConfigText {
  std::string_view text;
  std::string_view name;
  std::string_view engine;  // asked for; or empty
};

// Commands and docker run, each a workload.
Status read_commands(const ConfigText& source, Deployment& out);
Status read_compose(const ConfigText& source, const config::Node& root, Deployment& out);
Status read_kubernetes(const ConfigText& source, const config::Node& document, Deployment& out);
void read_key_file(const ConfigText& source, const config::Node& root, Deployment& out);

// Words of a scalar or of a list of scalars; of a scalar they are split as a shell does.
Result<std::vector<Word>> words_of(const ConfigText& source, const config::Node* node);
// The line on which the text of a scalar begins: of a block (|, >) the one after its mark.
int text_line(const ConfigText& source, const config::Node& node);
// Sets call of the container from its image and words, where an engine is recognised.
// entrypoint: words that take the place of the image's own program.
Status set_call(const ConfigText& source, const std::vector<Word>& entrypoint,
                const std::vector<Word>& arguments, ContainerSpec& container);

std::optional<int64_t> integer_of(const config::Node* node);

}  // namespace weir::ops
