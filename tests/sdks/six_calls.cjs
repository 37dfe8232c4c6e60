// Makes the calls with RudderStack's SDK for Node, and leaves most of them to the last flush.
// Usage: node six_calls.cjs DATA_PLANE_URL WRITE_KEY
const Analytics = require("@rudderstack/rudder-sdk-node");

const [, , dataPlaneUrl, writeKey] = process.argv;
const client = new Analytics(writeKey, {
  dataPlaneUrl,
  flushInterval: 600000, // nothing leaves by itself but the first event
  axiosRetryConfig: { retries: 5, retryDelay: () => 50 },
  errorHandler: (error) => {
    console.error(error.message);
    process.exitCode = 1;
  },
});
const userId = "u-1";
client.identify({ userId, traits: { email: "ada@example.com", address: { city: "London" } } });
client.track({ userId, event: "Signed up", properties: { plan: "pro", price: 9.5, tags: ["a", "b"] } });
client.page({ userId, name: "Docs", category: "Help", properties: { path: "/docs" } });
client.group({ userId, groupId: "g-1", traits: { seats: 5 } });
client.alias({ userId, previousId: "former-1" });
client
  .flush()
  .then(() => client.flush())
  .then(() => process.exit(process.exitCode ?? 0));
