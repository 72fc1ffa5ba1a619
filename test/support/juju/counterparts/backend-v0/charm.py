"""PostgreSQL on the first data_interfaces library: answers with the server that the test names."""

import first_data_interfaces  # noqa: F401  (finds the library)
import ops
from charms.data_platform_libs.v0.data_interfaces import DatabaseProvides
from recorded import asked, record


class Backend(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        self.database = DatabaseProvides(self, relation_name="database")
        framework.observe(self.database.on.database_requested, self._on_requested)

    def _on_requested(self, event):
        record(self, type(event).__name__, resource=event.database, roles=event.extra_user_roles, request_id=None)
        answer = asked("BACKEND_ANSWER", {})
        at = event.relation.id
        self.database.set_credentials(at, answer["username"], answer["password"])
        self.database.set_database(at, answer["resource"])
        self.database.set_tls(at, "True" if answer.get("tls") else "False")
        self.database.set_tls_ca(at, answer.get("tls_ca", ""))
        self.database.set_endpoints(at, answer["endpoints"])
        self.database.set_read_only_endpoints(at, answer.get("read_only_endpoints", ""))
        self.database.set_version(at, answer["version"])


ops.main(Backend)
