#include "scheduler/gateway/http/dashboard.h"

#include "base/digest.h"

namespace lockstep {
namespace {

constexpr std::string_view kStyle = R"css(
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem;
  padding: 0 1rem; color: #1c2430; background: #fff; }
h1 { font-size: 1.3rem; } h2 { font-size: 1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #d7dce2; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
#cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .8rem; }
.card { border: 1px solid #d7dce2; border-radius: 6px; padding: .6rem .8rem; }
.card b { display: block; font-size: 1.3rem; font-variant-numeric: tabular-nums; }
.card span, #note { color: #5a6675; } .bad { color: #b3261e; }
@media (prefers-color-scheme: dark) { body { color: #e3e8ee; background: #14181d; }
  th, td, .card { border-color: #39424d; } .card span, #note { color: #9aa6b3; } }
)css";

constexpr std::string_view kScript = R"js(
'use strict';
const byId = (id) => document.getElementById(id);
let key = '', timer = 0, last = null;
function cell(row, text, className) {
  const td = document.createElement('td');
  td.textContent = text;
  if (className) td.className = className;
  row.appendChild(td);
}
function card(name, value) {
  const box = document.createElement('div'), b = document.createElement('b');
  const span = document.createElement('span');
  box.className = 'card'; b.textContent = value; span.textContent = name;
  box.append(b, span);
  return box;
}
function rate(status) {
  if (!last || status.unix_ms <= last.unix_ms) return '0.0';
  const tokens = status.completion_tokens_total - last.completion_tokens_total;
  return (1000 * tokens / (status.unix_ms - last.unix_ms)).toFixed(1);
}
function show(status) {
  byId('model').textContent = status.model + ' \u00b7 ' + status.context_tokens + ' tokens';
  const cards = [
    ['ready', status.ready ? 'yes' : 'no'], ['queued', status.queued],
    ['running', status.running], ['tokens per second', rate(status)],
    ['time to first token, p50 s', status.time_to_first_token_s.p50],
    ['time to first token, p99 s', status.time_to_first_token_s.p99],
    ['jobs done', status.done_total], ['jobs failed', status.failed_total],
    ['jobs cancelled', status.cancelled_total], ['choices moved', status.moved_total]];
  byId('cards').replaceChildren(...cards.map(([name, value]) => card(name, value)));
  byId('replicas').replaceChildren(...status.replicas.map((one) => {
    const row = document.createElement('tr');
    cell(row, one.name);
    cell(row, one.state, one.state === 'ready' ? '' : 'bad');
    for (const name of ['ranks', 'epoch', 'running', 'waiting', 'blocks_free', 'preemptions',
      'restarts', 'last_beat_ms_ago']) cell(row, one[name], 'n');
    return row;
  }));
  last = status;
}
async function refresh() {
  try {
    const headers = key ? { Authorization: 'Bearer ' + key } : {};
    const answer = await fetch('/v1/lockstep/status', { headers, cache: 'no-store' });
    const body = await answer.json();
    if (!answer.ok) throw new Error(body.error.message);
    show(body);
    byId('note').textContent = 'updated ' + new Date(body.unix_ms).toISOString();
    byId('data').hidden = false;
  } catch (error) {
    byId('note').textContent = error.message;
  }
  timer = setTimeout(refresh, 1000);
}
byId('ask').addEventListener('submit', (event) => {
  event.preventDefault();
  clearTimeout(timer);
  key = byId('key').value.trim();
  last = null;
  refresh();
});
)js";

constexpr std::string_view kBody = R"html(
<h1>Lockstep</h1>
<form id="ask"><label>API key <input id="key" type="password" autocomplete="off" size="40"></label>
<button>Show</button> <span id="note">The key stays in this page.</span></form>
<main id="data" hidden>
<p id="model"></p>
<div id="cards"></div>
<h2>Replicas</h2>
<table><thead><tr><th>name</th><th>state</th><th class="n">ranks</th><th class="n">epoch</th>
<th class="n">running</th><th class="n">waiting</th><th class="n">blocks free</th>
<th class="n">preemptions</th><th class="n">restarts</th><th class="n">last beat, ms</th>
</tr></thead>
<tbody id="replicas"></tbody></table>
</main>
)html";

// RFC 4648, for the hashes of a content security policy.
std::string base64(ByteView bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = std::uint32_t{bytes[i]} << 16;
    if (i + 1 < bytes.size()) group |= std::uint32_t{bytes[i + 1]} << 8;
    if (i + 2 < bytes.size()) group |= bytes[i + 2];
    for (std::size_t digit = 0; digit < 4; ++digit) {
      out += i + digit > bytes.size() ? '=' : kDigits[(group >> (18 - 6 * digit)) & 63];
    }
  }
  return out;
}

std::string source_hash(std::string_view text) {
  return "'sha256-" + base64(sha256(as_bytes(text)).view()) + "'";
}

}  // namespace

Response dashboard_response() {
  Response response;
  response.content_type = "text/html; charset=utf-8";
  response.body =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<title>Lockstep</title><link rel=\"icon\" href=\"data:,\"><style>";
  response.body.append(kStyle).append("</style></head><body>").append(kBody);
  response.body.append("<script>").append(kScript).append("</script></body></html>\n");
  // Nothing but this page's own script and style, and no server but this one.
  response.fields.push_back(
      {"content-security-policy", "default-src 'none'; script-src " + source_hash(kScript) +
                                      "; style-src " + source_hash(kStyle) +
                                      "; img-src data:; connect-src 'self'; base-uri 'none'; "
                                      "form-action 'self'; frame-ancestors 'none'"});
  response.fields.push_back({"referrer-policy", "no-referrer"});
  response.fields.push_back({"cache-control", "no-cache"});
  return response;
}

}  // namespace lockstep
