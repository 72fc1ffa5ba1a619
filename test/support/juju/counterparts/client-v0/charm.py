"""A client on the first data_interfaces library."""

import first_data_interfaces  # noqa: F401  (finds the library)
import ops
from charms.data_platform_libs.v0.data_interfaces import DatabaseRequires
from recorded import asked, record


class Client(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        (request,) = asked("CLIENT_REQUESTS", [{"database_name": "orders"}])
        self.database = DatabaseRequires(self, relation_name="database", **request)
        for name in ("database_created", "endpoints_changed", "read_only_endpoints_changed"):
            framework.observe(getattr(self.database.on, name), self._on_answer)
        for name in ("status_raised", "status_resolved"):
            framework.observe(getattr(self.database.on, name), self._on_status)

    def _on_answer(self, event):
        fields = ("database", "endpoints", "read_only_endpoints", "username", "password", "uris", "read_only_uris", "tls", "tls_ca", "version")
        record(self, type(event).__name__, **{field: getattr(event, field) for field in fields})

    def _on_status(self, event):
        record(self, type(event).__name__, code=event.status.code, message=event.status.message)


ops.main(Client)
