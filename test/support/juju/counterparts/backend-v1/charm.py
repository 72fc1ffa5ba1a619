"""PostgreSQL on the second data_interfaces library: answers with the server that the test names."""

import ops
from dpcharmlibs.interfaces import RequirerCommonModel, ResourceProviderEventHandler, ResourceProviderModel
from recorded import asked, record


class Backend(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        self.database = ResourceProviderEventHandler(self, "database", RequirerCommonModel)
        framework.observe(self.database.on.resource_requested, self._on_requested)

    def _on_requested(self, event):
        request = event.request
        record(self, type(event).__name__, resource=request.resource, roles=request.extra_user_roles, request_id=request.request_id)
        response = ResourceProviderModel(salt=request.salt, request_id=request.request_id, **asked("BACKEND_ANSWER", {}))
        self.database.set_response(event.relation.id, response)


ops.main(Backend)
