import Base
import Configuration
import Proxy
import Tenancy

/// `/v1/tenants/{id}`: the configuration in force. No secret is part of it.
struct TenantReport {
    private let tenant: Tenant
    private let snapshot: Snapshot

    init(_ tenant: Tenant, _ snapshot: Snapshot) { (self.tenant, self.snapshot) = (tenant, snapshot) }

    func write(to json: inout JSONWriter) {
        let settings = tenant.settings
        json.object { json in
            json.member("id", tenant.id)
            if let plan = tenant.plan { json.member("plan", plan) }
            json.member("namespace", tenant.namespace)
            json.member("suspended", tenant.suspended)
            json.member("hosts", settings.hosts)
            if let upstream = settings.upstream { json.member("upstream", snapshot.settings.upstreams[upstream].name) }
            json.member("weight", tenant.weight)
            if let most = settings.maxBody { json.member("max_body", most) }
            json.member("features", settings.features)
        }
    }
}
