// Runs Segment's own Heap destination over messages, and tells what it would send: JSON on stdin
// ({mappings: {action: fields}, messages: [...]}) to JSON on stdout, one answer for each message.
// Everything is Segment's but the last step: a request is written down and not made. With triggers
// ({triggers: [...], messages: [...]}) it tells which of them takes each message; with fields
// ({fields: [...], messages: [...]}) what each of these mappings makes of it; with times, which
// times these texts are.
'use strict'

const { Destination, transform } = require('@segment/actions-core')
const { parseFql, validate } = require('@segment/destination-subscriptions')
const dayjs = require('dayjs').extend(require('dayjs/plugin/utc'))
const definition = require('@segment/action-destinations/dist/destinations/heap').default

const SETTINGS = { appId: '11', region: 'US' }
const destination = new Destination(definition)

async function answer(message, mappings) {
  const requests = []
  const write = (url, { json }) => {
    requests.push({ url, json })
    return { status: 200 }
  }
  for (const preset of definition.presets) {
    if (!validate(parseFql(preset.subscribe), message)) continue
    const action = destination.actions[preset.partnerAction]
    action.performRequest = (perform, bundle) => perform(write, bundle)
    const mapping = { ...preset.mapping, ...mappings[preset.partnerAction] }
    try {
      await action.execute({ mapping, data: message, settings: SETTINGS })
    } catch (error) {
      return { rejected: error.message }
    }
  }
  return { requests }
}

// What `Date` and Segment's library make of a text that may be a time: [milliseconds, text].
function read(text) {
  const utc = dayjs.utc(text)
  return [new Date(text).getTime(), utc.isValid() ? utc.toISOString() : null]
}

async function main() {
  const { mappings, triggers, fields, times, messages } = JSON.parse(require('fs').readFileSync(0, 'utf8'))
  const answers = []
  if (times) {
    process.stdout.write(JSON.stringify(times.map(read)))
    return
  }
  if (triggers) {
    const parsed = triggers.map((trigger) => parseFql(trigger))
    const taken = messages.map((message) => parsed.map((trigger) => validate(trigger, message)))
    process.stdout.write(JSON.stringify(taken))
    return
  }
  if (fields) {
    const made = messages.map((message) => fields.map((field) => transform({ field }, message)))
    process.stdout.write(JSON.stringify(made))
    return
  }
  for (const message of messages) answers.push(await answer(message, mappings))
  process.stdout.write(JSON.stringify(answers))
}

main()
