"""A client on the library of the legacy interface."""

import ops
import pgsql
from recorded import asked, record


class Client(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        self.db = pgsql.PostgreSQLClient(self, "db")
        framework.observe(self.db.on.database_relation_joined, self._on_joined)
        for name in ("database_available", "master_changed", "standby_changed", "master_gone"):
            framework.observe(getattr(self.db.on, name), self._on_told)

    def _on_joined(self, event):
        if not self.unit.is_leader():
            return
        for name, value in asked("CLIENT_REQUESTS", [{"database": "orders"}])[0].items():
            setattr(event, name, value)

    def _on_told(self, event):
        master = event.master
        record(
            self,
            type(event).__name__,
            database=event.database,
            master=None if master is None else master.uri,
            standbys=[standby.uri for standby in event.standbys or []],
        )


ops.main(Client)
