// node-smpp against `nudged sim smsc`: bind, submit (GSM 7-bit, UCS-2, long with UDH), answers, receipts, a reply,
// a query, unbind. Prints one JSON line a message it sent and was answered, then exits 0; says what was wrong and exits 1.
// Usage: node smpp_client.js HOST PORT CONTROL_URL
'use strict';
const smpp = require('smpp');
const [host, port, control] = process.argv.slice(2);

const PATIENCE_MS = 20000;
const TO = '4915112345601';
const MESSAGES = [
  { text: 'Hello from node: 12,50 @ $ [x]', fields: { data_coding: 0, short_message: 'Hello from node: 12,50 @ $ [x]' } },
  { text: 'Привет из node 😀', fields: { data_coding: 8, short_message: 'Привет из node 😀' } },
  ...[1, 2].map((number) => {
    const text = `${number === 1 ? 'first' : 'second'} segment of node`;
    const udh = Buffer.from([5, 0, 3, 77, 2, number]);
    return { text, udh, fields: { esm_class: 0x40, data_coding: 0, short_message: { udh, message: text } } };
  }),
];

function fail(why) {
  console.error(`node-smpp: ${why}`);
  process.exit(1);
}
setTimeout(() => fail('not done in time'), PATIENCE_MS).unref();

const session = smpp.connect({ url: `smpp://${host}:${port}`, auto_enquire_link_period: 1000 });
session.on('error', (error) => fail(error.message));

const answered = [];
const receipts = new Set();
let reply = null;
let asked = false;

session.on('deliver_sm', (pdu) => {
  session.send(pdu.response());
  const text = pdu.short_message.message;
  if (pdu.esm_class & 0x04) {
    if (!/^id:\S+ sub:001 dlvrd:001 .* stat:DELIVRD err:000 text:/.test(text)) fail(`receipt: ${text}`);
    const id = String(pdu.receipted_message_id).replace(/\0/g, '');
    if (text.split(' ')[0] !== `id:${id}` || pdu.message_state !== 2) fail(`receipt of ${id}: ${text}`);
    receipts.add(id);
  } else {
    reply = text;
  }
  finish();
});

session.on('connect', () => {
  session.bind_transceiver({ system_id: 'node', password: 'secret', interface_version: 0x34 }, (pdu) => {
    if (pdu.command_status !== 0) fail(`bind: ${pdu.command_status}`);
    MESSAGES.forEach(send);
    post('/reply', { from: '+4915112345601', to: 'NODE', text: 'Stop, ich zahle 10 €' });
  });
});

function send(message) {
  const fields = {
    source_addr_ton: 5, source_addr_npi: 0, source_addr: 'NODE', dest_addr_ton: 1, dest_addr_npi: 1,
    destination_addr: TO, registered_delivery: 1, ...message.fields,
  };
  session.submit_sm(fields, (pdu) => {
    if (pdu.command_status !== 0 || !pdu.message_id) fail(`submit_sm_resp: ${pdu.command_status}`);
    const udh = message.udh ? message.udh.toString('hex') : null;
    answered.push({ message_id: pdu.message_id, from: 'NODE', to: `+${TO}`, text: message.text, udh });
    finish();
  });
}

async function post(path, body) {
  const answer = await fetch(control + path, { method: 'POST', body: JSON.stringify(body) });
  if (!answer.ok) fail(`${path}: ${answer.status} ${await answer.text()}`);
}

function finish() {
  const all = answered.length === MESSAGES.length && answered.every((sent) => receipts.has(sent.message_id));
  if (!all || reply === null) return;
  if (reply !== 'Stop, ich zahle 10 €') fail(`reply: ${reply}`);
  if (!asked) query(answered[0].message_id);
  asked = true;
}

function query(id) {
  const fields = { message_id: id, source_addr_ton: 5, source_addr_npi: 0, source_addr: 'NODE' };
  session.query_sm(fields, (pdu) => {
    const since = Date.now() - pdu.final_date;
    if (pdu.command_status !== 0 || pdu.message_id !== id || pdu.message_state !== 2) {
      fail(`query_sm_resp: ${pdu.command_status}, state ${pdu.message_state}`);
    }
    if (!(since >= 0 && since <= PATIENCE_MS)) fail(`final_date: ${pdu.final_date}`);
    unbind();
  });
}

function unbind() {
  session.unbind((pdu) => {
    if (pdu.command_status !== 0) fail(`unbind: ${pdu.command_status}`);
    for (const sent of answered) console.log(JSON.stringify(sent));
    session.close(() => process.exit(0));
  });
}
