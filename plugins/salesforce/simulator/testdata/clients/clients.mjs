// Runs a Salesforce client of another's making against the simulator and prints
// what it saw as JSON.
//
//   node clients.mjs jsforce|pubsub URL [PUBSUB-ENDPOINT]
import jsforce from "jsforce";
import PubSubApiClient from "salesforce-pubsub-api-client";

const [client, url, endpoint] = process.argv.slice(2);
const clientId = "wellhead-simulator";
const clientSecret = "simulator-secret";

async function viaJsforce() {
  const conn = new jsforce.Connection({ oauth2: { loginUrl: url, clientId, clientSecret }, instanceUrl: url, version: "67.0", maxRequest: 4 });
  await conn.authorize({ grant_type: "client_credentials" });
  const out = {};
  out.identity = (await conn.identity()).username;
  out.organization = conn.userInfo?.organizationId;
  out.versions = (await conn.request("/services/data")).length;
  out.query = (await conn.query("SELECT Id, Name, Account.Name FROM Contact ORDER BY Name LIMIT 2")).records.map((r) => [r.Name, r.Account.Name]);
  const all = [];
  await new Promise((done, failed) => {
    conn.query("SELECT Id FROM Contact", { autoFetch: true, maxFetch: 100000 })
      .on("record", (r) => all.push(r.Id)).on("end", done).on("error", failed).run({ autoFetch: true, maxFetch: 100000 });
  });
  out.paged = all.length;
  out.count = (await conn.query("SELECT COUNT() FROM Contact")).totalSize;
  out.found = (await conn.sobject("Contact").find({ LastName: { $like: "Hop%" } }, ["Id", "LastName"])).map((r) => r.LastName);
  const created = await conn.sobject("Contact").create({ FirstName: "Ann", LastName: "O'Neil" });
  out.created = created.success;
  out.escaped = (await conn.sobject("Contact").find({ LastName: "O'Neil" }, ["Id"])).length;
  out.updated = (await conn.sobject("Contact").update({ Id: created.id, Title: "Dr." })).success;
  out.retrieved = (await conn.sobject("Contact").retrieve(created.id)).Title;
  out.destroyed = (await conn.sobject("Contact").destroy(created.id)).success;
  out.deletedSeen = (await conn.query("SELECT Id FROM Contact WHERE IsDeleted = true", { scanAll: true })).totalSize;
  const now = Date.now();
  out.deleted = (await conn.sobject("Contact").deleted(new Date(now - 600e3).toISOString(), new Date(now + 120e3).toISOString())).deletedRecords.length;
  out.updatedIds = (await conn.sobject("Contact").updated(new Date(now - 600e3).toISOString(), new Date(now + 120e3).toISOString())).ids.length;
  out.global = (await conn.describeGlobal()).sobjects.some((s) => s.name === "Custom__c");
  out.describe = (await conn.describe("Account")).fields.length;
  out.limits = (await conn.limits()).DailyApiRequests.Max;
  out.limitInfo = conn.limitInfo.apiUsage.limit;
  out.bulk = await (await conn.bulk2.query("SELECT Id, LastName, CreatedDate FROM Contact", { pollInterval: 50, pollTimeout: 10000 })).toArray();
  out.bulk = { rows: out.bulk.length, first: out.bulk[0].LastName };
  for (const [name, soql] of [["badField", "SELECT Nope FROM Contact"], ["badType", "SELECT Id FROM Nope"]]) {
    out[name] = await conn.query(soql).then(() => "", (e) => e.errorCode);
  }
  return out;
}

// viaPubSub reads four events from the earliest on, and then again those after
// the second.
async function viaPubSub() {
  const quiet = { debug() {}, info() {}, warn() {}, error() {}, trace() {} };
  const topic = "/data/ContactChangeEvent";
  const read = (count, subscribe) => new Promise(async (done, failed) => {
    const sub = new PubSubApiClient({ authType: "oauth-client-credentials", loginUrl: url, clientId, clientSecret, pubSubEndpoint: endpoint, rejectUnauthorizedSsl: false }, quiet);
    await sub.connect();
    const events = [];
    subscribe(sub, (info, type, data) => {
      if (type === "event") {
        const h = data.payload.ChangeEventHeader;
        events.push({ type: h.changeType, ids: h.recordIds.length, changed: h.changedFields, nulled: h.nulledFields, lastName: data.payload.Name?.LastName ?? null, replay: data.replayId });
        if (events.length === count) {
          sub.close();
          done(events);
        }
      } else if (type === "error") {
        failed(data);
      }
    });
  });
  const events = await read(4, (sub, callback) => sub.subscribeFromEarliestEvent(topic, callback, 4));
  const resumed = await read(2, (sub, callback) => sub.subscribeFromReplayId(topic, callback, 2, events[1].replay));
  return { events, resumed: resumed.map((e) => e.type) };
}

try {
  console.log(JSON.stringify(client === "jsforce" ? await viaJsforce() : await viaPubSub()));
  process.exit(0);
} catch (e) {
  console.error(e);
  process.exit(1);
}
