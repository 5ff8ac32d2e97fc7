// Template is a pipeline to begin from. All of them run without a key.
export interface Template {
  title: string;
  about: string;
  text: string;
}

export const empty = "name: my-pipeline\nnodes:\n  start: {kind: trigger}\n";

export const templates: Template[] = [
  {
    title: "Summarise a text",
    about: "One agent gets a task with the input in it, and its answer is the output.",
    text: `# The model that is built in picks sentences and needs no key. With a key,
# write another in its place, such as anthropic/claude-sonnet-4-5.
name: summary
description: What a text says, in a few sentences.
input_schema:
  type: object
  required: [text]
  properties:
    text: {type: string, minLength: 1, description: The text to summarise.}
agents:
  reader: {model: offline/extract, prompt: You summarise texts.}
nodes:
  start: {kind: trigger}
  summary:
    kind: agent
    needs: [start]
    agent: reader
    task: "Summarise the following text:\\n\\n\${{ input.text }}"
    timeout: 60s
    retry: {max_attempts: 3}
output: "\${{ nodes.summary.output.text }}"
`,
  },
  {
    title: "Decide by rules",
    about: "A condition chooses a branch; what was left out is null where the branches meet.",
    text: `name: sorting
description: Who gets a message, by what it says.
vars:
  urgent: 3 # from how many points on a message is urgent
input_schema:
  type: object
  required: [text]
  properties:
    text: {type: string, minLength: 1}
    customer: {type: string, enum: [free, silver, gold]}
nodes:
  start: {kind: trigger}
  points:
    kind: transform
    needs: [start]
    set:
      sum: "\${{ (input.text.matches('(?i)(down|outage)') ? 3 : 0) + (input.?customer.orValue('free') == 'gold' ? 2 : 0) }}"
  urgent: {kind: condition, needs: [points], when: nodes.points.output.sum >= vars.urgent}
  on_call:
    kind: transform
    needs: [urgent.true]
    set: {to: on-call, within: 15m}
  desk:
    kind: transform
    needs: [urgent.false]
    set: {to: desk, within: 24h}
  ticket:
    kind: transform
    needs: [on_call, desk]
    set:
      queue: "\${{ nodes.on_call.output == null ? nodes.desk.output : nodes.on_call.output }}"
      points: "\${{ nodes.points.output.sum }}"
output: "\${{ nodes.ticket.output }}"
`,
  },
  {
    title: "Do something for each item",
    about: "A map runs one node for each item of a list, some at a time, and keeps going where one fails.",
    text: `name: each-text
description: A sentence about each of several texts.
input_schema:
  type: object
  required: [texts]
  properties:
    texts: {type: array, items: {type: string}, minItems: 1}
agents:
  reader: {model: offline/extract, prompt: You summarise texts in one sentence.}
nodes:
  start: {kind: trigger}
  sentences:
    kind: map
    needs: [start]
    over: input.texts
    as: document
    max_parallel: 4
    on_item_error: skip # null in its place, and on with the others
    do:
      kind: agent
      agent: reader
      task: "Summarise the following text:\\n\\n\${{ document }}"
      timeout: 60s
  report:
    kind: transform
    needs: [sentences]
    set:
      lines: "\${{ nodes.sentences.output.filter(s, s != null).map(s, s.text) }}"
output: "\${{ nodes.report.output.lines }}"
`,
  },
  {
    title: "Wait, and mend what fails",
    about: "A call that is tried again, an error branch with another way, and a pause that costs nothing.",
    text: `name: careful
description: Asks for something that may fail, and has another way.
input_schema:
  type: object
  properties:
    file: {type: string, description: A file of the workspace.}
nodes:
  start: {kind: trigger}
  read:
    kind: tool
    needs: [start]
    tool: files.read
    with: {path: "\${{ input.?file.orValue('README.md') }}", limit: 20000}
    retry: {max_attempts: 3, initial_delay: 200ms}
    on_error: branch
  why:
    kind: transform
    needs: [read.error]
    set: {text: "There is nothing to read: \${{ error.message }}"}
  pause: {kind: delay, needs: [read], for: 2s}
  told:
    kind: transform
    needs: [pause, why]
    set:
      text: "\${{ nodes.why.output == null ? nodes.read.output.text.substring(0, math.least(size(nodes.read.output.text), 200)) : nodes.why.output.text }}"
output: "\${{ nodes.told.output.text }}"
`,
  },
];
