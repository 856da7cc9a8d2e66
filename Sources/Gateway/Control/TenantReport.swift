import Base
import Configuration
import Proxy
import Quotas
import Tenancy

/// `/v1/tenants/{id}`: the configuration in force. No secret is part of it.
struct TenantReport {
    private let tenant: Tenant
    private let snapshot: Snapshot
    private let quotas: QuotaReports

    init(_ tenant: Tenant, _ snapshot: Snapshot, _ quotas: QuotaReports) {
        (self.tenant, self.snapshot, self.quotas) = (tenant, snapshot, quotas)
    }

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
            json.member("limits") { json in
                json.array { json in for report in quotas.limits(of: tenant.id) { write(report, to: &json) } }
            }
            json.member("live") { json in
                json.object { json in
                    for (name, value) in quotas.counts(of: tenant.id) { json.member(name, value) }
                }
            }
        }
    }

    private func write(_ report: LimitReport, to json: inout JSONWriter) {
        json.object { json in
            json.member("policy", report.policy)
            json.member("limit", report.limit)
            json.member("used", report.used)
            json.member("left", report.left)
            json.member("reset_seconds", report.reset)
            json.member("shadow", report.isShadow)
        }
    }
}
