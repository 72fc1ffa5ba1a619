"""An authority on the tls-certificates library: signs what it is asked to, with the key that the test names."""

import datetime

import ops
from charmlibs.interfaces.tls_certificates import Certificate, PrivateKey, ProviderCertificate, TLSCertificatesProvidesV4
from recorded import asked, record


class Authority(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        self.certificates = TLSCertificatesProvidesV4(self, "certificates")
        framework.observe(self.on.certificates_relation_changed, self._on_changed)

    def _on_changed(self, _event):
        pair = asked("CERTIFICATES_AUTHORITY", {})
        authority = Certificate.from_string(pair["certificate"])
        key = PrivateKey.from_string(pair["key"])
        for request in self.certificates.get_outstanding_certificate_requests():
            csr = request.certificate_signing_request
            signed = Certificate.generate(csr, authority, key, datetime.timedelta(days=30))
            self.certificates.set_relation_certificate(
                ProviderCertificate(
                    relation_id=request.relation_id,
                    certificate=signed,
                    certificate_signing_request=csr,
                    ca=authority,
                    chain=[signed, authority],
                )
            )
            record(self, "Signed", common_name=signed.common_name, names=sorted(signed.sans_dns or []))


ops.main(Authority)
