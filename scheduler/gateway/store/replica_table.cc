#include "scheduler/gateway/store/replica_table.h"

#include <string>
#include <utility>

#include "base/canonical_json.h"

namespace lockstep {
namespace {

Result<RankProcess> process_of(const Json& row) {
  const bool is_whole = row.is_array() && row.size() == 3 && row[0].is_string() &&
                        row[1].is_number_integer() && row[2].is_number_unsigned();
  if (!is_whole) return Error{ErrorCode::kCorrupt, "the processes of a replica are damaged"};
  return RankProcess{row[0], row[1], row[2]};
}

}  // namespace

Result<ReplicaTable> ReplicaTable::prepare(Database& database) {
  ReplicaTable t;
  LOCKSTEP_TRY_ASSIGN(t.put_, database.prepare("INSERT OR REPLACE INTO replicas VALUES(?,?,?,?,?)"),
                      "replicas");
  LOCKSTEP_TRY_ASSIGN(t.remove_, database.prepare("DELETE FROM replicas WHERE replica=?"),
                      "replicas");
  LOCKSTEP_TRY_ASSIGN(
      t.load_,
      database.prepare(
          "SELECT replica, name, public_key, epoch, processes FROM replicas ORDER BY replica"),
      "replicas");
  return t;
}

Status ReplicaTable::put(const ReplicaRecord& record) {
  Json processes = Json::array();
  for (const RankProcess& process : record.processes) {
    processes.push_back(Json::array({process.host, process.pid, process.start_ticks}));
  }
  const std::string text = processes.dump(-1, ' ', false, Json::error_handler_t::replace);
  return put_
      .bind(static_cast<std::uint32_t>(record.replica), record.name, record.public_key,
            static_cast<std::int64_t>(record.epoch), text)
      .run();
}

Status ReplicaTable::remove(ReplicaId replica) {
  return remove_.bind(static_cast<std::uint32_t>(replica)).run();
}

Result<std::vector<ReplicaRecord>> ReplicaTable::load_all() {
  load_.reset();
  std::vector<ReplicaRecord> records;
  for (;;) {
    LOCKSTEP_TRY_ASSIGN(const bool found, load_.step(), "replicas");
    if (!found) return records;
    ReplicaRecord record{static_cast<ReplicaId>(load_.u32(0)),
                         load_.text(1),
                         load_.text(2),
                         static_cast<std::uint64_t>(load_.integer(3)),
                         {}};
    LOCKSTEP_TRY_ASSIGN(const Json processes, parse_json(load_.text(4)), "replicas");
    for (const Json& row : processes) {
      LOCKSTEP_TRY_ASSIGN(RankProcess process, process_of(row), "replicas");
      record.processes.push_back(std::move(process));
    }
    records.push_back(std::move(record));
  }
}

}  // namespace lockstep
