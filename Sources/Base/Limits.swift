/// Every bound that is not a directive, with its reason. What an operator may set is in Configuration/Directives.
public enum Limits {
    /// One read of a body. Every read wakes its sender and every send its receiver, so few large ones are cheaper: 10 MiB
    /// over TLS cost 1290 us/MiB in reads of 64 KiB, 1150 of 128, 990 of 192, 840 of 320 and 830 of 384. Larger ones would
    /// keep a neighbour's turn waiting for longer: this one takes about 0.3 ms, as long as a handshake.
    public static let readSize = 320 << 10
    /// One read of a head, and of a body whose sender has not shown yet that it sends much: what it has sent ahead of an
    /// answer is kept in memory, so no more than one head's worth is taken from the kernel.
    public static let headReadSize = headSizeMax
    /// The same of TLS: a record begun earlier may add 16 KiB to what a read brings.
    public static let headCipherSize = headSizeMax - (16 << 10)
    /// However much is kept, a read brings something.
    public static let headReadSizeMin = 1 << 10
    /// One read of a TLS handshake, in which nobody sends more at once than a chain of certificates.
    public static let handshakeReadSize = 16 << 10
    /// Steps of TLS itself between two pieces of data: key updates, of which each is up to four, and alerts. Each costs as
    /// much as a small request and some make us answer; OpenSSL bounds its empty records and warnings itself, at 32 and 5.
    public static let tlsStepsBetweenData = 128
    /// Room kept in front of a read, so that a rewritten head and a chunk-size line go before the body without moving it.
    public static let headroom = 72 << 10
    /// A request or response head may never be larger than this, whatever `max_header_size` says: headroom must hold it.
    public static let headSizeMax = 64 << 10
    /// Bytes of the protocols that a client asks to switch to: they are kept to be compared with the answer's, and are a name or
    /// two.
    public static let upgradeMax = 256
    /// A chunk-size line with its extensions. Nobody needs more, and each byte is an attacker's.
    public static let chunkLineMax = 256
    /// All trailer fields of one message.
    public static let trailerSizeMax = 8 << 10
    /// What a client of HTTP/2 still sends of a request that is answered is dropped for so long before it is told to stop.
    public static let unwantedNanoseconds: UInt64 = 100_000_000
    /// Requests at once on one HTTP/2 connection to a server, whatever it allows: more share a connection's one line.
    public static let upstreamStreamsMax = 1000
    /// The same before it has said what it allows. RFC 9113 section 6.5.2 asks for a hundred at least.
    public static let upstreamStreamsUnsettled = 100
    /// Connections of a loop to a server that take no more requests and don't count for `max_connections`, while those on them end.
    public static let leavingConnections = 16
    /// A peer of HTTP/2 with requests under way that says nothing for so long is asked by a PING, and has as long to answer that.
    public static let pingNanoseconds: UInt64 = 15_000_000_000
    /// No time at all: thirty years.
    public static let silenceNanoseconds: UInt64 = 1_000_000_000_000_000_000
    /// How often a request that a server has surely not processed goes elsewhere.
    public static let refusalsMax = 3
    /// Bytes of all 1xx answers before the final one: an upstream that says it is still at work every second may do so for
    /// half a day, and one that says nothing else ends.
    public static let interimBytesMax = 1 << 20
    /// Of them, how many are passed on in one turn: each is a head of its own, and a read has room for ten thousand.
    public static let interimPerTurn = 32
    /// Gateways of this name that a request may have been through, by its `Via`. One more is a circle, which would otherwise
    /// eat every connection there is.
    public static let hopsMax = 8
    /// New connections that the kernel takes for us and keeps, for each listening socket.
    public static let acceptBacklog = 4096
    /// New connections taken in one turn of a listener, so that a storm of them cannot starve the established ones.
    public static let acceptsPerTurn = 32
    /// After an `accept` that failed for want of descriptors or memory: often enough for nobody to notice, and seldom enough
    /// to cost nothing while it lasts.
    public static let acceptPauseNanoseconds: UInt64 = 50_000_000
    /// Descriptors that clients and what is opened for them leave to all else: the admin listener with its connections,
    /// ledger, log, certificates and key sets, a reload. And for each worker its loop, its mail and what they grow by.
    public static let descriptorsKept = 64
    public static let descriptorsKeptPerWorker = 8
    /// But no more than this part of a very small limit: traffic comes first where there is hardly room for any.
    public static let descriptorsKeptShare = 4
    /// An access log that can't be opened is tried again so often.
    public static let logRetryNanoseconds: UInt64 = 2_000_000_000
    /// Between an answer sent ahead of the end of a request and the close: what the client still sends is read and dropped
    /// for this long, or the kernel would answer it with a reset and destroy our answer on its way. Ten megabytes take 30 s at
    /// 3 Mbit/s.
    public static let lingerNanoseconds: UInt64 = 30_000_000_000
    /// And so many bytes of it: more than most send in one piece that do not look for an answer in between.
    public static let lingerBytesMax = 64 << 20
    /// The same where no body is to come, and when the process ends: for what was on its way.
    public static let lingerTailNanoseconds: UInt64 = 1_000_000_000
    /// The window of `body_min_rate`: short pauses of an honest client are evened out in it.
    public static let bodyRateNanoseconds: UInt64 = 30_000_000_000
    /// TLS handshakes must be done in this time.
    public static let handshakeNanoseconds: UInt64 = 10_000_000_000
    /// Sessions of TLS that are kept of one server, to be resumed: as many connections as are made to it at once, mostly. A
    /// server gives two with each handshake.
    public static let tlsSessionsMax = 8
    /// Intermediates between a client's certificate and an authority. Nobody needs more, and each goes into the tickets.
    public static let clientIntermediatesMax = 8
    /// Looking a server's name up may take this long before its request is refused; connecting comes after.
    public static let resolveNanoseconds: UInt64 = 5_000_000_000
    /// A look-up that takes longer hangs: most take a hundredth of it. Another one begins in its place.
    public static let lookUpHangsNanoseconds: UInt64 = 500_000_000
    /// Look-ups under way at once that do not hang. Threads cost little, but a name server counts questions.
    public static let lookUpsMax = 16
    /// With those that hang, for which `getaddrinfo` takes a minute at times: their threads wait and do nothing.
    public static let lookUpThreadsMax = 64
    /// Of both, what only names have that a request waits for and whose last look-up did not hang.
    public static let lookUpsReserved = 4
    /// Look-ups of one group of servers: of all the names that a tenant may bring, not more than a quarter of the threads.
    public static let lookUpsOfKeyMax = 4
    /// Addresses are good for this long to whoever asks for the same name: two servers of one name need one look-up.
    public static let lookUpKeptNanoseconds: UInt64 = 1_000_000_000
    /// A name that was not found is not asked for again before this time, doubled with each failure in a row up to the
    /// maximum; meanwhile it fails at once. Mistakes are mended in seconds, and what is dead for days costs little.
    public static let lookUpRetryNanoseconds: UInt64 = 1_000_000_000
    public static let lookUpRetryMaxNanoseconds: UInt64 = 30_000_000_000
    /// Lines of the log on clients that can't be served, a second: an operator sees why, and a flood fills no disk.
    public static let clientFaultsPerSecond = 32
    /// Two lines of the log on one server, which may fail and answer again all the time.
    public static let serverLinesNanoseconds: UInt64 = 5_000_000_000
    /// Lines on servers at once, each second: who reads them sees by then what it is about.
    public static let serverLinesMax = 20
    /// A token that names a key which is not there waits this long for its issuer's keys to be fetched anew: a fetch begins
    /// at the latest when the longest cool-down is over, after four seconds.
    public static let keyWaitNanoseconds: UInt64 = 6_000_000_000
    /// A server's next address, or another server, is tried beside one that has said nothing for so long (RFC 8305 section 5).
    public static let raceNanoseconds: UInt64 = 250_000_000
    /// A server that closes a connection sooner than this after an answer may close the next one under a request: for a
    /// while what can't be sent twice goes on none that is kept. Servers that mean to keep connections do so for seconds.
    public static let keptAtLeastNanoseconds: UInt64 = 1_000_000_000
    /// A connection is closed so long before the time for which its server says that it keeps it: what is sent then is on its way.
    public static let keptMarginNanoseconds: UInt64 = 1_000_000_000
    public static let distrustNanoseconds: UInt64 = 10_000_000_000
    /// Of one name, how many addresses are tried when the gateway itself asks a server.
    public static let clientAddressesMax = 4
    /// One read of the gateway's own client, the same of TLS, and one piece of TLS that it writes. It has no hurry, and
    /// shares its loop with others.
    public static let clientReadSize = 16 << 10
    /// What it sends in one turn.
    public static let clientSendSize = 256 << 10
    /// Fields of an answer to it.
    public static let clientFieldsMax = 100
    /// A connection of its own that is kept for a next request. Most servers wait longer, so that few requests meet an end.
    public static let clientIdleNanoseconds: UInt64 = 15_000_000_000
    /// Bytes of a server's answer to a health check, interim ones too: its status is all that counts.
    public static let healthAnswerMax = 16 << 10
    /// Bytes of its body that are looked at: enough for any page that says how a server is.
    public static let healthBodyMax = 64 << 10
    /// A fetch of a key set, with the look-up of its name and all that follows. Tokens wait for less, and try again later.
    public static let keySetFetchNanoseconds: UInt64 = 10_000_000_000
    /// Connections to the admin listener. Enough for every dashboard; more is somebody's mistake, and must not eat the
    /// proxy's descriptors.
    public static let adminConnectionsMax = 256
    /// Connections to it that were answered for the last time and are being closed, those that were refused among them.
    public static let adminFarewellsMax = 64
    /// To it: for a whole request, from the end of the one before; and for an answer to be taken.
    public static let adminNanoseconds: UInt64 = 30_000_000_000
    /// A request head to it. Bodies have no meaning there: they are dropped as they come, up to so many bytes.
    public static let adminHeadMax = 32 << 10
    public static let adminBodyMax = 1 << 20
    /// Answers larger than this are not handed to the kernel whole: metrics of a thousand tenants.
    public static let adminLargeAnswer = 1 << 20
    /// So many of them wait to be taken: each holds its own memory, and whoever scrapes takes his at once.
    public static let adminLargeAnswersMax = 8
    /// One write of an answer of it: metrics of many tenants must not keep others waiting.
    public static let adminWriteSize = 256 << 10
    /// What a command asks of the running gateway. A scrape of a hundred thousand tenants takes a second or two.
    public static let commandNanoseconds: UInt64 = 10_000_000_000
    /// A reload that a command waits for: with a hundred thousand tenants on a busy machine it takes some seconds.
    public static let reloadCommandNanoseconds: UInt64 = 60_000_000_000
    /// A process that is to take over is checked within this time, and ready within as much again. A hundred thousand tenants
    /// take some seconds.
    public static let upgradeNanoseconds: UInt64 = 30_000_000_000
    /// An upgrade that a command waits for: both, and what the ledger has to write.
    public static let upgradeCommandNanoseconds: UInt64 = 90_000_000_000
    /// One message between two such processes, and what of its words is told when it fails.
    public static let successionMessageMax = 32 << 10
    /// An answer of the running gateway to a command: the metrics of a hundred thousand tenants are some 100 MiB.
    public static let commandAnswerMax = 512 << 20
    /// Requests that wait for a connection, for each connection there may be. More would only wait until they time out.
    public static let waitersPerConnection = 16
    /// A loop that waits for a place which others have asks them so often, and is forgotten when it has not asked for so
    /// long: several times as long, for a loop may be busy.
    public static let placesAskedNanoseconds: UInt64 = 10_000_000
    public static let placesWantedNanoseconds: UInt64 = 100_000_000
    /// Of those who wait for a name or a connection, how many are called in one turn: each may end in a refusal, which is
    /// work, and others have turns to take.
    public static let callsPerTurn = 32
    /// Preflights of browsers that a client address may send a second: nothing else bounds them, and an office of people behind
    /// one address sends a few.
    public static let preflightsPerSecond: UInt64 = 200
    /// Answers of services that decide about requests: bytes of all their heads, of which lines go on, and of the content of a no,
    /// a page that says what is the matter.
    public static let decisionHeadMax = 16 << 10
    public static let decisionBodyMax = ownTextMax
    /// Memory of the answers that one loop keeps of a tenant's: some 1500 of them.
    public static let decisionsSize = 512 << 10
    /// Questions of one tenant's that a loop asks at once, each on a connection of its own, and requests that wait for them.
    public static let decisionCallsMax = 256
    public static let decisionWaitersMax = 4096
    /// Failures in a row after which such a service is left alone, and for how long: doubled each time up to the maximum.
    public static let decisionFailures = 5
    public static let decisionPauseNanoseconds: UInt64 = 1_000_000_000
    public static let decisionPauseMaxNanoseconds: UInt64 = 16_000_000_000
    /// Who waits for an answer is called by whoever asks, within its time, in turns: this is for a loop that has none left.
    public static let decisionGraceNanoseconds: UInt64 = 5_000_000_000
    /// Connections to such services that a loop keeps.
    public static let decisionConnectionsKept = 64
    /// Copies of requests to one upstream that a loop has under way: with their bodies they take some megabytes.
    public static let mirrorsMax = 64
    /// Bytes of a body that may go along with one: it is sent at once, out of the room for a read.
    public static let mirrorBodyMax: UInt64 = 256 << 10
    /// Of an answer to one: bytes that are read for the sake of the connection, and for how long.
    public static let mirrorAnswerMax = 1 << 20
    public static let mirrorNanoseconds: UInt64 = 60_000_000_000
    /// A tunnel in which nothing moves is closed after this time.
    public static let tunnelIdleNanoseconds: UInt64 = 3_600_000_000_000
    /// The same once the server has ended its direction: it is nearly always gone, and the client must not keep its place.
    public static let halfTunnelIdleNanoseconds: UInt64 = 30_000_000_000
    /// Bytes of a text that a route answers with, and of what its placeholders make of it: a page that says what is the matter.
    public static let ownTextMax = 16 << 10
    /// Bytes of a URL in the configuration. That of `problem_base` stands in every refusal, whose room has 4 KiB; browsers and
    /// proxies begin to refuse longer ones.
    public static let urlMax = 2048
    /// Objects and arrays inside each other in JSON. Claims and key sets have two or three levels, and each is a call.
    public static let jsonDepthMax = 16
    /// Values of a JSON text that is kept whole, so that the work on it is bounded by more than its size: 256 keys of a set
    /// with a dozen members each.
    public static let jsonValuesMax = 4096
    /// Who waits for his turn to change a ledger's files says so after this: most turns are shorter.
    public static let silentTurnNanoseconds: UInt64 = 1_000_000_000
    /// And says it again as often: who holds it for so long may have been stopped or hang, and an operator has to look.
    public static let repeatedTurnNanoseconds: UInt64 = 3_600_000_000_000
    /// A compressor that has put out nothing for so long hangs and is ended. It has a low priority, and its disk may be slow.
    public static let compressorSilenceNanoseconds: UInt64 = 600_000_000_000
    /// Between two looks whether it has ended: a small day takes about as long.
    public static let compressorPauseMicroseconds: UInt32 = 5_000
    /// Between two looks whether it is one's turn: nobody notices, and it costs nothing while a year is added up.
    public static let turnPauseMicroseconds: UInt32 = 20_000
    /// How often a question to a ledger begins anew because files were replaced under it. A repair replaces each once, a rollup
    /// those of a day; with the pauses between, of `ledgerPauseMicroseconds` times the attempts so far, it is half a second.
    public static let ledgerAttemptsMax = 10
    public static let ledgerPauseMicroseconds: UInt32 = 10_000
}
