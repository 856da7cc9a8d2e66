import Base

extension Directive {
    /// Every directive, in the order in which a file is usually written. The parser, the checks, the help texts and the
    /// manual are all driven by these rows.
    public static let all: [Directive] = [
        // The file itself
        Directive(
            .workers, "workers", in: [.top], [.one("COUNT|auto", .count(1...1024, or: "auto"))],
            default: "auto", "Event loops; auto is one a core.",
            details: ["A reload has more of them serve, or fewer: those that are left over end what they have begun, and then rest."]),
        Directive(
            .state, "state", in: [.top], [.one(.path)], default: "./state", cold: true,
            "Folder of the meters, the usage ledger and the admin token."),
        Directive(
            .shutdownTimeout, "shutdown_timeout", in: [.top], [.one(.time(.upToADay))], default: "30s",
            "How long a shutdown waits for requests in flight."),
        Directive(
            .upgradeTimeout, "upgrade_timeout", in: [.top], [.one(.time(.upToADay))], default: "1h",
            "How long a process that another one has taken over from may end what it has begun, tunnels among it."),
        Directive(
            .trustedProxies, "trusted_proxies", in: [.top], [.many("ADDRESS[/PREFIX]", .addressBlock)],
            repeats: .many, "Peers whose Forwarded and X-Forwarded-* are believed."),
        Directive(
            .trustedFields, "trusted_fields", in: [.top], [.one(.choice(TrustedFields.allCases.map(\.rawValue)))], default: "any",
            "Which fields of trusted_proxies tell of the client: X-Forwarded-*, Forwarded, or whichever is there.",
            details: [
                "A proxy that writes one family lets the other one pass, as its client has sent it: say which one it writes,",
                "unless it takes the other one away. With `any` X-Forwarded-For comes before Forwarded.",
            ]),
        Directive(
            .passFields, "pass_fields", in: [.top], [.many("NAME", .override)], repeats: .many,
            "Fields that pass from every client, not from trusted_proxies alone.",
            details: ["The fields by which proxies tell applications of another target, method, host, scheme or client:"]
                + HeaderFields.overridesInLines),
        Directive(
            .via, "via", in: [.top], [.one(.onOff)], default: "on",
            "Whether upstreams are told by Via that a gateway stands in front of them.",
            details: [
                "An nginx that finds Via in a request compresses no answer, unless its own gzip_proxied says so.",
                "X-Gateway-Via is there either way, by which requests that go in circles are found.",
            ]),
        Directive(
            .sharedHost, "shared_host", in: [.top], [.many("HOST", .host)], repeats: .many,
            "A host of many tenants: the key or the token names the tenant."),
        Directive(
            .listen, "listen", in: [.top], [.one(.endpoint), .optional(.choice(["tls"]))],
            block: .listen, blockOptional: true, repeats: .many, "An address to take requests on."),
        Directive(
            .admin, "admin", in: [.top], [.one(.endpoint)], options: [.init("host", .host, repeats: true)],
            "An address for metrics, health and the admin API; requests name it by an address, localhost or one of the hosts."),
        Directive(
            .accessLog, "access_log", in: [.top], [.one("PATH|stdout|off", .path)],
            options: [.init("query", .onOff, default: "off")], default: "off",
            "One JSON line a request; query=on logs query values too."),
        Directive(
            .problemBase, "problem_base", in: [.top], [.one(.url(["https", "http"]))],
            default: "https://gateway.invalid/problems/", "What the `type` of a refusal starts with."),
        Directive(
            .metricsTenants, "metrics_tenants", in: [.top], [.one(.count(0...1_000_000))], default: "1000",
            "Tenants that metrics name; the rest are counted as _other, and what is nobody's as _none."),
        Directive(
            .ledgerInterval, "ledger_interval", in: [.top], [.one(.time(100_000_000...3_600_000_000_000))], default: "5s",
            "How often usage is written to the ledger."),
        Directive(
            .ledgerRollup, "ledger_rollup", in: [.top], [.one(.choice(["hour", "day", "month", "off"]))], default: "hour",
            "What days that are over are added up by, beside their lines; by longer periods they always are."),
        Directive(
            .ledgerRetention, "ledger_retention", in: [.top],
            [.one("TIME|forever", .time(86_400_000_000_000...315_360_000_000_000_000, or: "forever"))], default: "forever",
            "How long the ledger's lines are kept once they are added up; the sums are kept for ever."),
        Directive(
            .ledgerCompress, "ledger_compress", in: [.top],
            [.one("TIME|never", .time(86_400_000_000_000...315_360_000_000_000_000, or: "never"))], default: "never",
            "After how long the lines of a day that is added up are compressed, by the system's gzip."),
        Directive(.limits, "limits", in: [.top], block: .limits, "Bounds on every connection and request head."),
        Directive(
            .overload, "overload", in: [.top], block: .overload, "From where on requests are given up for the sake of others.",
            details: [
                "Stage 1: no new connection is kept for a second request, and those that wait for one end, the oldest first. Stage 2:",
                "requests of tenants that are above their share get 503 overloaded. Stage 3: new connections wait in the kernel.",
                "gateway_overload_stage and gateway_shed_total tell of it. The admin listener answers in every stage.",
            ]),
        Directive(
            .upstreamBlock, "upstream", in: [.top], [.one(.identifier)], block: .upstream,
            repeats: .oncePerFirstArgument, "Servers that requests are forwarded to."),
        Directive(
            .planBlock, "plan", in: [.top], [.one(.identifier)], block: .plan, repeats: .oncePerFirstArgument,
            "Limits and settings that tenants share by name."),
        Directive(
            .jwtBlock, "jwt", in: [.top], [.one(.identifier)], block: .jwt, repeats: .oncePerFirstArgument,
            "An issuer of tokens and how its tokens are verified."),
        Directive(
            .defaults, "defaults", in: [.top], block: .defaults, "What holds for a tenant that says nothing else."),
        Directive(
            .tenant, "tenant", in: [.top], [.one("ID", .identifier)], block: .tenant,
            repeats: .oncePerFirstArgument, "A tenant: its hosts, limits and upstream."),
        Directive(
            .include, "include", in: [.top], [.one("PATTERN", .text)], repeats: .many,
            "Reads other files as if they stood here; no match of a pattern is no error."),

        // listen
        Directive(
            .certificate, "certificate", in: [.listen],
            [.one("CHAIN", .path), .one("KEY", .keyPath)], options: [.init("passphrase", .secret)], repeats: .many,
            "A certificate chain and its private key (PEM); the first is the default, the others are chosen by SNI."),
        Directive(
            .protocols, "protocols", in: [.listen],
            [.many("PROTOCOL", .choice(["h2", "http/1.1"]))], default: "h2 http/1.1",
            "What ALPN offers, in order of preference; without TLS `h2` is spoken by prior knowledge."),
        Directive(
            .minVersion, "min_version", in: [.listen, .tls], [.one(.choice(["1.2", "1.3"]))], default: "1.2",
            "The lowest TLS version that is spoken."),
        Directive(
            .clientCA, "client_ca", in: [.listen], [.one(.path)],
            "Authorities (PEM) whose client certificates are accepted; a client may still come without one."),
        Directive(
            .takesProxy, "proxy_protocol", in: [.listen], [.one(.onOff)], default: "off",
            "Each connection begins with a PROXY header, v1 or v2, which says who the client is; only from trusted_proxies."),
        Directive(
            .redirectsToHTTPS, "redirect", in: [.listen], [.one(.choice(["https"]))],
            options: [.init("port", .count(1...65535), default: "443")],
            "Answers every request with 308 and the same URL on https, before its credentials are looked at.",
            details: ["Not what a trusted proxy says that it came by https: it would come back for ever."]),

        // limits
        Directive(
            .headerTimeout, "header_timeout", in: [.limits], [.one(.time(.upToADay))], default: "10s",
            "For a whole request head, from its first byte."),
        Directive(
            .bodyTimeout, "body_timeout", in: [.limits], [.one(.time(.upToADay))], default: "30s",
            "Between two reads of a request body."),
        Directive(
            .bodyMinRate, "body_min_rate", in: [.limits], [.one("COUNT|off", .count(1...100_000_000, or: "off"))], default: "100",
            "Bytes a second of a request body, over 30 s in which it is read; slower ones end with 408."),
        Directive(
            .idleTimeout, "idle_timeout", in: [.limits], [.one(.time(.upToADay))], default: "75s",
            "How long a connection may wait for its next request."),
        Directive(
            .maxHeaderSize, "max_header_size", in: [.limits], [.one(.size(1 << 10...UInt64(Limits.headSizeMax)))],
            default: "32k",
            "Bytes of a request head."),
        Directive(
            .maxHeaders, "max_headers", in: [.limits], [.one(.count(1...1000))], default: "100",
            "Fields of a request head."),
        Directive(
            .maxConnections, "max_connections", in: [.limits], [.one(.count(1...10_000_000))], default: "20000",
            "Client connections at once, of all workers together."),
        Directive(
            .maxStreams, "max_streams", in: [.limits], [.one(.count(1...1000))], default: "100",
            "Requests at once on one HTTP/2 connection."),
        Directive(
            .maxResets, "max_resets", in: [.limits], [.one(.countIn)], default: "100/10s",
            "HTTP/2 streams reset by a client, or because of it; beyond that its connection ends."),

        Directive(
            .addressConnections, "address_connections", in: [.limits], [.one(.count(1...10_000_000))], default: "1000",
            "Connections of one client address (of IPv6: a /64), of all workers together; trusted_proxies are excepted.",
            details: ["Unless it is written, clients of this machine itself (127.0.0.0/8, ::1) are excepted as well."]),
        Directive(
            .addressHandshakes, "address_handshakes", in: [.limits], [.one(.rate)], default: "200/s",
            "TLS handshakes that one client address may begin; trusted_proxies are excepted.",
            details: ["Unless it is written, clients of this machine itself (127.0.0.0/8, ::1) are excepted as well."]),

        // overload
        Directive(
            .overloadMemory, "memory", in: [.overload], [.one(.size(1 << 20...1 << 50))],
            "Memory of this process; 80 % of the machine's, or of its control group's, unless set.",
            details: ["Stage 2 begins at 110 % of it, stage 3 at 120 %."]),
        Directive(
            .overloadDescriptors, "descriptors", in: [.overload], [.one(.percent(1...99))], default: "90%",
            "Of the descriptors that this process may have open.",
            details: ["Stage 2 begins where half of the rest is in use, stage 3 where three quarters of it are."]),
        Directive(
            .overloadLag, "lag", in: [.overload], [.one(.time(1_000_000...60_000_000_000))], default: "50ms",
            "How long work waits for its turn on an event loop, on the average of half a second.",
            details: ["Stage 2 begins at twice as much, stage 3 at four times as much."]),

        // upstream
        Directive(
            .server, "server", in: [.upstream],
            [.one("HOST:PORT", .server), .optional(.choice(ServerFlag.allCases.map(\.rawValue)))],
            options: [.init("weight", .count(1...1000), default: "1")], repeats: .oncePerFirstArgument, required: true,
            "A server; {namespace} and {tenant} in its name are those of the request's tenant.",
            details: [
                "backup: it gets requests only while no other one is healthy. drain: it finishes what it has and gets nothing new;",
                "its health is still asked for. down: it gets nothing. A reload that changes these cuts no request.",
            ]),
        Directive(
            .balance, "balance", in: [.upstream],
            [.one(.choice(["least_requests", "round_robin", "hash"])), .optional(.choice(["client", "tenant", "path"]))],
            options: [.init("header", .token), .init("cookie", .token)],
            default: "least_requests", "How a server is chosen; hash: the same one for the same header, cookie, client, tenant or path.",
            details: [
                "hash: one server of N that is gone or new moves about 1/N of the keys, the order in the file none. One that has more",
                "than 1.25 times its share of the requests passes on to the next in the key's own order. Without the field or the cookie",
                "a request goes by least_requests.",
            ]),
        Directive(
            .eject, "eject", in: [.upstream],
            options: [
                .init("failures", .count(1...100), default: "5"), .init("for", .time(1_000_000_000...600_000_000_000), default: "10s"),
                .init("max_share", .percent(1...100), default: "50%"), .init("slower", .factor(2...1000)),
            ], "Leaves a server out for a while that fails so often in a row, or that is so many times slower than the others.",
            details: [
                "What fails: a 5xx, an answer that is cut short, late or malformed, a connection that can't be made, over all workers",
                "together. `for` doubles with each ejection in a row, up to 10 minutes. Of a share at least one may be out, never the",
                "last one. slower: nine of ten answers begin later than so many times the others', by 10 ms at least.",
                "What fails for one tenant alone leaves the server out for that tenant alone: others are to meet it, too.",
            ]),
        Directive(
            .slowStart, "slow_start", in: [.upstream], [.one(.time(.upToADay))],
            "A server that is back, or new in the file, gets a share that grows for so long."),
        Directive(
            .connectTimeout, "connect_timeout", in: [.upstream], [.one(.time(.upToADay))], default: "5s",
            "For connecting: all servers and addresses that a request tries together."),
        Directive(
            .responseTimeout, "response_timeout", in: [.upstream, .route], [.one(.time(.upToADay))], default: "30s",
            "Until the head of an answer, and between two reads of its body. A route's overrides its upstream's."),
        Directive(
            .serverConnections, "max_connections", in: [.upstream], [.one(.count(1...1_000_000))], default: "256",
            "Connections to each server, of all workers together."),
        Directive(
            .serverIdle, "idle_timeout", in: [.upstream], [.one(.time(.upToADay))], default: "55s",
            "How long an unused connection is kept, or less where the server says so by Keep-Alive: timeout=N."),
        Directive(
            .retry, "retry", in: [.upstream],
            options: [
                .init("tries", .count(1...10), default: "2"), .init("on", .words(RetrySettings.Causes.words), default: "connect,reset"),
                .init("budget", .percent(0...100), default: "20%"), .init("backoff", .time(0...60_000_000_000), default: "25ms"),
            ], "How often a request is sent in all, for which failures and answers, and how many retries there are for all requests.",
            details: [
                "Idempotent methods only, unless non_idempotent says that others may arrive twice; bodies that are whole in memory.",
                "Ten retries a second there are always. The pause doubles with each one. The last answer goes to the client.",
                "Without it a connection that ends without an answer has an idempotent request without a body sent once more, at once.",
            ]),
        Directive(
            .maxRequests, "max_requests", in: [.upstream], [.one(.count(1...100_000_000))],
            "Requests under way to all servers, of all workers together, waiting ones too; beyond that 503 overloaded.",
            details: [
                "A quarter of them, 64 at the most, is for tenants that have less than their weight gives them of all: a flood does not",
                "get it. An upstream of one tenant alone is all his.",
            ]),
        Directive(
            .queue, "queue", in: [.upstream],
            options: [
                .init("size", .count(1...1_000_000), default: "1000"),
                .init("timeout", .time(.upToADay), default: "2s"),
            ],
            "Requests waiting for a connection, of all workers together: fair by tenant weight; who waits too long gets a 503.",
            details: [
                "Without it 16 may wait for each connection that there may be (max_connections), for connect_timeout. A full line",
                "takes requests of tenants that have less than their part of it, and those that have most above theirs lose one.",
            ]),
        Directive(
            .serverProtocols, "protocols", in: [.upstream], [.many("PROTOCOL", .choice(["h2", "http/1.1"]))], default: "http/1.1",
            "What is spoken to the servers: what ALPN offers with `tls`, without it the first one, `h2` by prior knowledge."),
        Directive(
            .upstreamTLS, "tls", in: [.upstream], block: .tls, blockOptional: true,
            "TLS to the servers, which must prove their names."),
        Directive(
            .sendsProxy, "proxy_protocol", in: [.upstream], [.one(.choice(["v1", "v2"]))],
            "Begins each connection with a PROXY header of that version; a connection then serves one client address only."),
        Directive(
            .healthCheck, "health_check", in: [.upstream], [.optional(.healthPath)],
            options: [
                .init("interval", .time(.upToADay), default: "5s"), .init("timeout", .time(.upToADay), default: "1s"),
                .init("fall", .count(1...1000), default: "3"),
                .init("rise", .count(1...1000), default: "2"),
                .init("status", .statuses, default: "200-399"), .init("body", .text), .init("host", .host), .init("grpc", .text),
            ], "Asks each server for this path and leaves out those that fail.",
            details: [
                "body: the answer must have this text in its first 64 KiB. host: what Host says, instead of the server's own name.",
                "With `protocols h2` it asks by HTTP/2. grpc: asks `grpc.health.v1.Health/Check` about the server as a whole, or, as",
                "grpc=SERVICE, about that service; SERVING is a yes.",
            ]),

        // tls of an upstream
        Directive(
            .tlsName, "name", in: [.tls], [.one("HOST", .host)],
            "The name that is asked for (SNI) and that the certificate must have; the server's own unless set."),
        Directive(
            .serverCA, "ca", in: [.tls], [.one(.path)], "Authorities (PEM) that are believed; the system's unless set."),
        Directive(
            .shownCertificate, "certificate", in: [.tls], [.one("CHAIN", .path), .one("KEY", .keyPath)],
            options: [.init("passphrase", .secret)], "A certificate chain and its private key (PEM), shown to servers that ask for one."),
        Directive(
            .verify, "verify", in: [.tls], [.one(.onOff)], default: "on",
            "Whether servers must prove who they are; without that anybody on the way may be the server."),

        // Limits and settings of tenants
        Directive(
            .rate, "rate", in: limited, [.one(.rate)],
            options: [.init("burst", .count(1...1_000_000_000)), .init("mode", mode, default: "enforce")], repeats: .many,
            "Requests in a time, and how many may come at once (one period's unless set); up to three together."),
        Directive(
            .concurrency, "concurrency", in: limited, [.one(.count(1...1_000_000))],
            options: [.init("mode", mode, default: "enforce")],
            "Requests in flight at once."),
        Directive(
            .quota, "quota", in: limited, [.one(.quota)], options: [.init("mode", mode, default: "enforce")],
            repeats: .oncePerFirstArgument,
            "Requests in a calendar hour, day or month (UTC)."),
        Directive(
            .bandwidth, "bandwidth", in: limited, [.one(.bandwidth)], options: [.init("burst", .size(1...1 << 50))],
            "Bytes a second of responses; they are paced, not refused. At once may go what a second allows unless set."),
        Directive(
            .cost, "cost", in: limited, [.one(.count(0...1_000_000))], default: "1",
            "What a request takes from rates and quotas."),
        Directive(
            .costHeader, "cost_header", in: limited, [.one("NAME", .headerName)],
            "A response field in which the upstream says what a request has cost; settled after, not passed on."),
        Directive(
            .charge, "charge", in: limited,
            [
                .many(
                    "OUTCOME", .choice(["forwarded", "admitted", "1xx", "2xx", "3xx", "4xx", "5xx"]),
                    alone: ["forwarded", "admitted"])
            ], default: "forwarded",
            "What quotas count: what was forwarded (not 502 to 504 of the gateway's own), all admitted, or these."),
        Directive(
            .quotaResetDay, "quota_reset_day", in: [.plan, .defaults, .tenant], [.one(.count(1...31))], default: "1",
            "Day on which a month of `quota` begins; in a shorter month its last day."),
        Directive(
            .ratelimitHeaders, "ratelimit_headers", in: [.plan, .defaults, .tenant],
            [.one(.choice(["draft", "legacy", "off"]))], default: "draft",
            "RateLimit and RateLimit-Policy, X-RateLimit-*, or nothing."),
        Directive(.maxBody, "max_body", in: limited, [.one(.size(0...1 << 50))], "Bytes of a request body."),
        Directive(
            .weight, "weight", in: [.plan, .defaults, .tenant], [.one(.count(1...1000))], default: "1",
            "Share of the turns when tenants compete."),
        Directive(
            .tenantConnections, "max_connections", in: [.plan, .defaults, .tenant], [.one(.count(1...10_000_000))],
            "Client connections at once; a request on one more gets a 429, and its connection ends."),
        Directive(
            .tenantStreams, "max_streams", in: [.plan, .defaults, .tenant], [.one(.count(1...10_000_000))],
            "Requests at once on HTTP/2 connections of clients; one more gets a 429."),
        Directive(
            .share, "share", in: [.plan, .defaults, .tenant], [.one(.percent(1...100))],
            "The most of an upstream's connections that it has while other tenants wait for them."),
        Directive(
            .feature, "feature", in: [.plan, .defaults, .tenant], [.one("NAME", .identifier), .one(.onOff)],
            repeats: .oncePerFirstArgument, "A feature, told to the upstream in X-Tenant-Features while it is on."),
        Directive(
            .set, "set", in: [.plan, .defaults, .tenant], [.one("NAME", .identifier), .one("VALUE", .text)],
            repeats: .oncePerFirstArgument, "A setting of the tenant's own."),
        Directive(
            .requestHeader, "request_header", in: limited,
            [.one("NAME", .headerName), .one("VALUE|off", .headerValue(mayBeSecret: true))],
            repeats: .oncePerFirstArgument, "A field set towards the upstream, or removed by `off`."),
        Directive(
            .responseHeader, "response_header", in: limited,
            [.one("NAME", .headerName), .one("VALUE|off", .headerValue(mayBeSecret: false))],
            repeats: .oncePerFirstArgument, "A field set towards the client, or removed by `off`."),
        Directive(
            .price, "price", in: [.plan, .defaults, .tenant],
            [.one("AMOUNT[/month]", .price), .more("per COUNT MEASURE over COUNT")], options: [.init("from", .date)],
            repeats: .many,
            "What a month costs, or so many requests, settled, request_bytes, response_bytes, upstream_ms or cost."),
        Directive(
            .prorate, "prorate", in: [.plan, .defaults, .tenant], [.one(.onOff)], default: "off",
            "A price a month is charged by the days on which it held."),
        Directive(
            .currency, "currency", in: [.plan, .defaults, .tenant], [.one("CODE", .currency)],
            "The currency of the prices, as EUR."),
        Directive(.plan, "plan", in: [.defaults, .tenant], [.one("NAME", .reference)], "The tenant's plan."),
        Directive(
            .upstream, "upstream", in: [.defaults, .tenant, .route], [.one("NAME", .reference)],
            "Where requests go."),
        Directive(
            .authenticate, "authenticate", in: [.defaults, .tenant, .route],
            [.many("METHOD", .choice(["none", "api_key", "jwt"]), alone: ["none"])], default: "none",
            "What a request presents one of; none: the host is enough."),

        // tenant
        Directive(
            .host, "host", in: [.tenant], [.many("HOST", .hostOrWildcard)], repeats: .many,
            "Hosts of the tenant: names, *. wildcards, addresses. A host belongs to one tenant."),
        Directive(
            .namespace, "namespace", in: [.tenant], [.one("NAME", .identifier)],
            "What {namespace} stands for; the tenant's id unless set."),
        Directive(
            .suspended, "suspended", in: [.tenant], [.one(.onOff)], default: "off",
            "Refuses every request of the tenant."),
        Directive(
            .key, "key", in: [.tenant], [.one("sha256:DIGEST", .keyDigest)],
            options: [
                .init("name", .identifier), .init("expires", .date), .init("rate", .rate),
                .init("burst", .count(1...1_000_000_000)), .init("quota", .quota),
                .init("concurrency", .count(1...1_000_000)), .init("mode", mode, default: "enforce"),
                .init("roles", .grants), .init("scopes", .grants),
            ], repeats: .many,
            "An API key by its digest; limits behind it are its own, beside the tenant's.",
            details: ["Upstreams see name=, roles= and scopes= in X-Tenant-Consumer, X-Tenant-Roles and X-Tenant-Scopes."]),
        Directive(
            .jwt, "jwt", in: [.tenant], [.many("NAME", .reference)], repeats: .many,
            "Issuers whose tokens name this tenant."),
        Directive(
            .clientCertificate, "client_certificate", in: [.tenant], [.optional(.choice(["any"]))],
            options: [
                .init("fingerprint", .keyDigest), .init("subject", .text), .init("issuer", .text), .init("ca", .path),
                .init("roles", .grants),
            ], repeats: .many,
            "A TLS client certificate that requests must come with: any that a client_ca vouches for, or one of these.",
            details: [
                "subject= and issuer= are whole names as RFC 4514 writes them: `CN=client,O=Example`.",
                "A subject is believed by the word of one authority: issuer= names one of those in client_ca, ca= those in a",
                "PEM file. It must have issued the certificate, or an intermediate that leads to it, by its own key: who only",
                "has its name is somebody else. Of several that lead to a certificate the nearest counts.",
                "Without either, subject= takes any authority's word, and is refused where the listeners have more than one",
                "(a root with one intermediate below it, and so on, is one).",
                "An expired certificate, or one whose authority a reload has taken away, is none, on open connections too.",
            ]),
    ] + ofRoutes + [
        // jwt
        Directive(.issuer, "issuer", in: [.jwt], [.one("ISSUER", .text)], required: true, "The `iss` of its tokens."),
        Directive(
            .audience, "audience", in: [.jwt], [.many("AUDIENCE", .text)], repeats: .many,
            "One of these must be in a token's `aud`."),
        Directive(
            .keys, "keys", in: [.jwt], [.one("PATH|URL", .keySet)], required: true,
            "The issuer's public keys: a JWKS file, or an https URL."),
        Directive(
            .keysMaxAge, "keys_max_age", in: [.jwt], [.one(.time(1_000_000_000...31_536_000_000_000_000))], default: "24h",
            "How long keys from a URL are believed after the last fetch that went well; keys from a file have no age.",
            details: [
                "A reload changes nothing about their age, and a restart begins without keys. Where several `jwt` have the",
                "same URL and algorithms, the shortest time holds for all of them.",
            ]),
        Directive(
            .algorithms, "algorithms", in: [.jwt],
            [
                .many(
                    "ALGORITHM",
                    .choice([
                        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
                        "HS256",
                        "HS384", "HS512",
                    ]))
            ], required: true, "The only signature algorithms that are accepted."),
        Directive(
            .tenantClaim, "tenant_claim", in: [.jwt], [.one("CLAIM", .text)],
            "The claim that holds the tenant's id; may be left out while a single tenant uses this issuer."),
        Directive(
            .roleClaim, "role_claim", in: [.jwt], [.one("CLAIM", .text)],
            "The claim that gives roles, for `require`: a list of names, or a text with commas or spaces between them."),
        Directive(
            .scopeClaim, "scope_claim", in: [.jwt], [.one("CLAIM", .text)], "The claim that gives scopes, likewise: `scope` for most."),
        Directive(
            .leeway, "leeway", in: [.jwt], [.one(.time(0...600_000_000_000))], default: "30s",
            "Allowed difference of clocks."),
        Directive(
            .claimHeader, "claim_header", in: [.jwt], [.one("CLAIM", .text), .one("NAME", .headerName)], repeats: .many,
            "Passes a claim on in this field; what a client sends under its name never arrives."),
    ]

    /// `mode=shadow`: a limit that never refuses and counts what it would have refused.
    private static let mode = ValueType.choice(["enforce", "shadow"])

    /// Where limits and header fields may stand: the nearest wins.
    static let limited: [Place] = [.plan, .defaults, .tenant, .route]

    /// The rows of a name, nearest to the top level first; empty where there is no such directive.
    public static func named(_ name: String) -> [Directive] { all.filter { $0.name == name } }
}

extension ClosedRange<UInt64> {
    /// Nanoseconds: more than nothing, at most a day.
    static let upToADay: ClosedRange<UInt64> = 1...86_400_000_000_000
}

/// The table, made ready for lookups.
struct DirectiveIndex: Sendable {
    static let shared = DirectiveIndex()

    /// Rows of `Directive.all` by name.
    private let rows: [String: [Int]]
    /// Names that may stand in a place.
    private let names: [Directive.Place: [String]]
    /// Rows that a place must have.
    private let required: [Directive.Place: [Int]]

    private init() {
        var rows: [String: [Int]] = [:]
        var names: [Directive.Place: [String]] = [:]
        var required: [Directive.Place: [Int]] = [:]
        for (index, directive) in Directive.all.enumerated() {
            rows[directive.name, default: []].append(index)
            for place in directive.places {
                names[place, default: []].append(directive.name)
                if directive.isRequired { required[place, default: []].append(index) }
            }
        }
        (self.rows, self.names, self.required) = (rows, names, required)
    }

    func row(_ name: String, in place: Directive.Place) -> Int? {
        rows[name]?.first { Directive.all[$0].places.contains(place) }
    }

    func names(in place: Directive.Place) -> [String] { names[place] ?? [] }
    func required(in place: Directive.Place) -> [Int] { required[place] ?? [] }
    var allNames: some Sequence<String> { rows.keys }

    /// Every place that takes this name.
    func places(of name: String) -> [Directive.Place] {
        let places = (rows[name] ?? []).flatMap { Directive.all[$0].places }
        return Directive.Place.allCases.filter(places.contains)
    }
}
