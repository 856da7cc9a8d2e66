/// Whose usage it is: a tenant's, or the part of it that came with one of its named keys.
public struct Account: Sendable, Hashable {
    public var tenant: String
    /// nil is the whole tenant. What a key counted is in its tenant's figures too.
    public var key: String?

    public init(tenant: String, key: String? = nil) { (self.tenant, self.key) = (tenant, key) }
}
