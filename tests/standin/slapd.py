"""A private OpenLDAP slapd as a stand-in for a messaging system's directory, with the schema directory.schema.

    with Slapd() as production, Slapd(suffix="o=backup") as target:
        production.load(subscribers.make_people(20, seed=1))
        ... site("production", ldap=production.section()) ...
        assert production.writes_from(production.trusted_dn) == []

Below the suffix stand ou=People, ou=COS and ou=TrustedServers with cn=mirror, whom the product binds as. Its own log
says what every client did: operations(), and of these writes(), searches(), binds(). Loading and admin() go as
rootdn, whom no rule and no limit stops.

Traps that it has by itself: an option on an attribute (standinGreetingAudio;x-1), attributes without equality rule,
standinModified that the trusted server may read but not write, mailbox numbers that are unique, and a COS that must
exist before a subscriber refers to it. Others are choices of the constructor.
"""

import base64
import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import ldap
import ldap.dn

from .certificates import make_certificate
from .dovecot import PASSWORD, TRUSTED
from .guard import Guarded, GuardError
from .ports import free_port, private_directory, wait_for

SUFFIX = "dc=store,dc=example"
ROOT_PASSWORD = "Root-of-the-stand-in"
PAGED_RESULTS = "1.2.840.113556.1.4.319"
SYNC = "1.3.6.1.4.1.4203.1.9.1.1"
SCHEMA = Path(__file__).with_name("directory.schema")
_STARTTLS = "1.3.6.1.4.1.1466.20037"

_CONF = """\
# A stand-in, made for one run.
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
attributeoptions lang- x-
include {schema}
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload syncprov
moduleload unique
moduleload constraint
moduleload ppolicy
pidfile {root}/slapd.pid
argsfile {root}/slapd.args
threads 8
sockbuf_max_incoming_auth 67108863
# SASL: names are cn=... of ou=TrustedServers, whose password is kept in clear for this; root may come over ldapi.
sasl-host localhost
sasl-secprops noanonymous
authz-regexp "^uid=([^,]+)(,cn=[^,]+)?,cn=[^,]+,cn=auth$" "cn=$1,ou=TrustedServers,{suffix}"
authz-regexp "^gidNumber=[0-9]+[+]uidNumber={uid},cn=peercred,cn=external,cn=auth$" "cn=mirror,ou=TrustedServers,{suffix}"
{tls}
{root_dse}
access to dn.base="" by * read
access to dn.base="cn=Subschema" by * {schema_right}
{extra}

database mdb
suffix "{suffix}"
rootdn "cn=admin,{suffix}"
rootpw {root_password}
directory {root}/database
maxsize {maxsize}
{durable}
index objectClass,entryUUID,entryCSN,standinId,standinMailbox,standinCos,standinCosNumber eq
index modifyTimestamp eq
{limits}
{rules}
{overlays}
{database_extra}
"""


@dataclass
class Operation:
    """What one client asked for, as the server's log has it."""
    kind: str  # ADD MOD DEL MODRDN PASSMOD SRCH BIND CMP EXT
    who: str  # DN in small letters, as which the connection was bound; "": anonymous
    connection: tuple  # (run of the server, number)
    dn: str = ""
    scope: str = ""
    filter: str = ""
    attributes: list = field(default_factory=list)  # that were searched for or modified
    mechanism: str = ""
    error: int = None  # resultCode; None: no answer was sent
    entries: int = 0
    text: str = ""


WRITES = ("ADD", "MOD", "DEL", "MODRDN", "PASSMOD")


class Slapd:
    """One server; start() or `with`. What can be chosen:

    syncprov              with the overlay that answers syncrepl (RFC 4533); `sessionlog` is how many deletions it
                          remembers (0: none, a refresh is by present list)
    size_limit            entries that one search of the trusted server gets, sizeLimitExceeded after them
    paging                True; "refused": advertised but not carried out; "hidden": neither
    unique, cos_must_exist, hash_passwords   overlays: mailbox numbers that occur once; standinCos that refers to an
                          entry; clear userPasswords that are stored hashed
    hidden, frozen        attributes that the trusted server does not see, or may not write (insufficientAccess)
    read_only             the trusted server may not write at all
    anonymous             anonymous may read all but passwords
    schema_readable       whether cn=Subschema is shown
    tls                   certificate of its own: StartTLS on the port and ldaps:// on tls_port
    schema, schema_without    a schema file of one's own; names of attributes that are taken out of the schema
    log                   False: nothing is logged, for measuring
    extra, database_extra     lines of slapd.conf
    """

    def __init__(self, suffix=SUFFIX, root=None, port=None, syncprov=False, sessionlog=0, size_limit=None, paging=True,
                 unique=True, cos_must_exist=True, hash_passwords=False, hidden=(), frozen=("standinModified",),
                 read_only=False, anonymous=False, schema_readable=True, tls=False, schema=SCHEMA, schema_without=(),
                 password=PASSWORD, log=True, durable=False, maxsize=8 << 30, extra="", database_extra="", held=None):
        self._own_root = root is None
        self.root = Path(root) if root else private_directory("slapd-")
        self.suffix, self.password = suffix, password
        self.syncprov, self.sessionlog, self.size_limit, self.paging = syncprov, sessionlog, size_limit, paging
        self.unique, self.cos_must_exist, self.hash_passwords = unique, cos_must_exist, hash_passwords
        self.hidden, self.frozen, self.read_only, self.anonymous = tuple(hidden), tuple(frozen), read_only, anonymous
        self.schema_readable, self.schema, self.schema_without = schema_readable, schema, tuple(schema_without)
        self.log, self.durable, self.maxsize = log, durable, maxsize
        self.extra, self.database_extra, self.held = extra, database_extra, held
        self.host = "127.0.0.1"
        self.port = port or free_port()
        self.tls_port = free_port() if tls else None
        self.people_dn, self.cos_dn = f"ou=People,{suffix}", f"ou=COS,{suffix}"
        self.trusted_dn, self.root_dn = f"cn={TRUSTED},ou=TrustedServers,{suffix}", f"cn=admin,{suffix}"
        self._guard, self._runs = None, len(list(self.root.glob("slapd-*.log")))
        (self.root / "database").mkdir(parents=True, exist_ok=True)
        self.certificate = make_certificate(self.root / "tls") if tls else None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.discard()

    def discard(self):
        """Stops, and removes the private directory if it was made here."""
        self.stop()
        if self._own_root:
            shutil.rmtree(self.root, ignore_errors=True)

    # --- configuration --------------------------------------------------------------------------------------

    @property
    def conf(self):
        return self.root / "slapd.conf"

    def write_conf(self):
        """start() does this: what was changed in the meantime (`hidden`, `size_limit` ...) holds from then on."""
        tls = self.certificate
        self.conf.touch(mode=0o600)
        self.conf.write_text(_CONF.format(
            root=self.root, suffix=self.suffix, uid=os.getuid(), root_password=ROOT_PASSWORD, schema=self._schema_file(),
            schema_right="read" if self.schema_readable else "none", maxsize=self.maxsize,
            durable="" if self.durable else "dbnosync", limits=self._limits(), rules=self._rules(),
            overlays=self._overlays(), extra=self.extra, database_extra=self.database_extra,
            root_dse=f'access to dn.base="" attrs=supportedControl val="{PAGED_RESULTS}" by * none'
            if self.paging == "hidden" else "",
            tls=f"TLSCACertificateFile {tls.ca_file}\nTLSCertificateFile {tls.cert_file}\nTLSCertificateKeyFile {tls.key_file}"
            if tls else ""))

    def _schema_file(self):
        if not self.schema_without:
            return self.schema
        text = Path(self.schema).read_text()
        for name in self.schema_without:
            text = re.sub(rf"(?m)^attributeType \( \S+ NAME '{name}'(?:\n    .*)*\n", "", text)
            text = re.sub(rf"\$\s+{name}\b|\b{name} \$\s+", "", text)
        path = self.root / "directory.schema"
        path.write_text(text)
        return path

    def _limits(self):
        if not self.size_limit and self.paging is True:
            return "sizelimit unlimited"
        size = f" size.soft={self.size_limit} size.hard={self.size_limit}" if self.size_limit else " size=unlimited"
        total = "" if self.paging is True else " size.prtotal=disabled"
        return f'sizelimit unlimited\nlimits dn.exact="{self.trusted_dn}"{size}{total}'

    def _rules(self):
        trusted = f'by dn.exact="{self.trusted_dn}"'
        rules = ['access to dn.subtree="ou=TrustedServers,%s" attrs=userPassword by anonymous auth by * none' % self.suffix]
        rules += [f"access to attrs={name} {trusted} {'auth' if name == 'userPassword' else 'none'} by * none"
                  for name in self.hidden]
        if self.frozen:
            rules.append(f"access to attrs={','.join(self.frozen)} {trusted} read by anonymous "
                         f"{'read' if self.anonymous else 'none'}")
        right = "read" if self.read_only else "write"
        rules.append(f"access to attrs=standinPassword,userPassword {trusted} {right} by anonymous auth by * none"
                     if "standinPassword" not in self.schema_without else
                     f"access to attrs=userPassword {trusted} {right} by anonymous auth by * none")
        rules.append(f"access to * {trusted} {right} by anonymous {'read' if self.anonymous else 'auth'} by users read")
        return "\n".join(["add_content_acl on", *rules])

    def _overlays(self):
        lines = []
        if self.syncprov:
            lines += ["overlay syncprov", "syncprov-checkpoint 1000 60"]
            lines += [f"syncprov-sessionlog {self.sessionlog}"] if self.sessionlog else []
        if self.unique:
            lines += ["overlay unique", f'unique_uri "ldap:///{self.people_dn}?standinMailbox?sub"']
        if self.cos_must_exist:
            lines += ["overlay constraint", "constraint_attribute standinCos uri "
                      f'"ldap:///{self.cos_dn}?standinCosNumber?sub?(objectClass=standinClassOfService)"']
        if self.hash_passwords:
            lines += ["overlay ppolicy", "ppolicy_hash_cleartext"]
        return "\n".join(lines)

    def section(self, **changes):
        """The site's `ldap` section in the product's configuration; the password is the trusted server's."""
        section = {"host": self.host, "port": self.port, "tls": "starttls" if self.certificate else "never",
                   "bind_dn": self.trusted_dn, "people_dn": self.people_dn, "cos_dn": self.cos_dn}
        if self.certificate:
            section["ca_file"] = str(self.certificate.ca_file)
        return {**section, **changes}

    # --- life -----------------------------------------------------------------------------------------------

    def start(self):
        self.write_conf()
        if not (self.root / "database" / "data.mdb").exists():
            self._slapadd(ldif_text([*self._base()]))
        self._runs += 1
        urls = f"ldap://{self.host}:{self.port} {self.ldapi}" + (
            f" ldaps://{self.host}:{self.tls_port}" if self.certificate else "")
        self._guard = Guarded(["/usr/sbin/slapd", "-h", urls, "-f", self.conf, "-d", "stats" if self.log else "none"],
                              log=self.root / f"slapd-{self._runs}.log", grace_seconds=10, held=self.held)
        try:
            wait_for(self._answers, 15, "slapd's answer")
        except (TimeoutError, GuardError) as error:
            words = self._guard.log_tail()
            self.discard()
            raise GuardError(f"slapd doesn't start: {error}: {words}") from None
        return self

    def _answers(self):
        if not self._guard.alive():
            raise GuardError("ended at once")
        try:
            connection = ldap.initialize(self.url)
            connection.set_option(ldap.OPT_NETWORK_TIMEOUT, 5)
            connection.search_ext_s("", ldap.SCOPE_BASE, attrlist=["1.1"], timeout=5)
            connection.unbind_s()
            return True
        except ldap.LDAPError:
            return False

    def stop(self):
        if self._guard:
            self.resume()
            self._guard.stop()
            self._guard = None

    def kill(self):
        """Power off."""
        if self._guard:
            self._guard.kill()
            self._guard = None

    def restart(self, **changes):
        """`changes` are the constructor's names: restart(size_limit=500)."""
        self.stop()
        for name, value in changes.items():
            if not hasattr(self, name):
                raise TypeError(f"slapd: no choice {name!r}")
            setattr(self, name, value)
        return self.start()

    def pause(self):
        """It keeps its connections and says nothing more."""
        os.kill(self._guard.pid, signal.SIGSTOP)

    def resume(self):
        try:
            os.kill(self._guard.pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    @property
    def pid(self):
        return self._guard.pid

    # --- access ---------------------------------------------------------------------------------------------

    @property
    def url(self):
        return f"ldap://{self.host}:{self.port}"

    @property
    def tls_url(self):
        return f"ldaps://{self.host}:{self.tls_port}"

    @property
    def ldapi(self):
        return f"ldapi://{str(self.root / 'slapi').replace('/', '%2F')}"

    def connect(self, dn=None, password=None):
        """A python-ldap connection; without arguments as the trusted server."""
        connection = ldap.initialize(self.url, bytes_mode=False)
        connection.set_option(ldap.OPT_NETWORK_TIMEOUT, 20)
        connection.set_option(ldap.OPT_TIMEOUT, 60)
        connection.set_option(ldap.OPT_REFERRALS, 0)
        connection.simple_bind_s(dn or self.trusted_dn, self.password if password is None else password)
        return connection

    def admin(self):
        """As rootdn."""
        return self.connect(self.root_dn, ROOT_PASSWORD)

    def search(self, base=None, filter="(objectClass=*)", *attributes, scope="sub", dn=None, password=None, options=()):
        """Output of the `ldapsearch` program as LDIF, lines unfolded; as rootdn unless told otherwise."""
        secret = self.root / "search.secret"
        secret.touch(mode=0o600)
        secret.write_text(password or (self.password if dn else ROOT_PASSWORD))
        done = subprocess.run(["ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", self.url, "-D", dn or self.root_dn,
                               "-y", secret, "-b", self.suffix if base is None else base, "-s", scope, *options, filter,
                               *attributes], capture_output=True, check=False, timeout=120)
        if done.returncode != 0:
            raise GuardError(f"ldapsearch: exit {done.returncode}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout

    # --- filling --------------------------------------------------------------------------------------------

    def _base(self):
        name, value = ldap.dn.str2dn(self.suffix)[0][0][:2]
        kind = {"dc": [b"dcObject", b"organization"], "o": [b"organization"], "ou": [b"organizationalUnit"]}[name.lower()]
        top = {"objectClass": kind, name: [value.encode()]}
        if name.lower() != "ou":
            top["o"] = [value.encode()]
        yield self.suffix, top
        for unit in ("People", "COS", "TrustedServers"):
            yield f"ou={unit},{self.suffix}", {"objectClass": [b"organizationalUnit"], "ou": [unit.encode()]}
        yield self.trusted_dn, {"objectClass": [b"organizationalRole", b"simpleSecurityObject"], "cn": [TRUSTED.encode()],
                                "userPassword": [self.password.encode()]}

    def load(self, entries):
        """[(dn, {attribute: [bytes]})]: many at once, by slapadd; a running server is stopped and started for it."""
        running = self._guard is not None
        self.stop()
        self.write_conf()
        fresh = not (self.root / "database" / "data.mdb").exists()
        self._slapadd(ldif_text([*(self._base() if fresh else ()), *entries]))
        return self.start() if running else self

    def add(self, entries):
        """The same over LDAP, as rootdn."""
        connection = self.admin()
        for dn, attributes in entries:
            connection.add_s(dn, list(attributes.items()))
        connection.unbind_s()

    def _slapadd(self, ldif):
        done = subprocess.run(["/usr/sbin/slapadd", "-q", "-w", "-f", self.conf], input=ldif, capture_output=True,
                              check=False)
        if done.returncode != 0:
            raise GuardError(f"slapadd: exit {done.returncode}: {done.stderr.decode(errors='replace')[-1000:]}")

    # --- what happened --------------------------------------------------------------------------------------

    def log_text(self):
        return "".join(self._logs())

    def _logs(self):
        return [(self.root / f"slapd-{run}.log").read_text(errors="replace") for run in range(1, self._runs + 1)]

    def operations(self):
        """All that clients asked for since the first start(), in the order of the log."""
        found = []
        for run, text in enumerate(self._logs(), 1):
            found += read_log(text, run)
        return found

    def writes(self):
        """Those that would change the directory, also refused ones."""
        return [operation for operation in self.operations() if operation.kind in WRITES]

    def writes_from(self, dn):
        return [operation for operation in self.writes() if operation.who == dn.lower()]

    def searches(self):
        return [operation for operation in self.operations() if operation.kind == "SRCH"]

    def binds(self):
        return [operation for operation in self.operations() if operation.kind == "BIND"]


# --- LDIF and log -----------------------------------------------------------------------------------------------

def ldif_text(entries):
    """Bytes of LDIF without line folding, all values in base64."""
    out = []
    for dn, attributes in entries:
        out.append(b"dn:: " + base64.b64encode(dn.encode()) + b"\n")
        out += [name.encode() + b":: " + base64.b64encode(value) + b"\n"
                for name, values in attributes.items() for value in values]
        out.append(b"\n")
    return b"".join(out)


_LINE = re.compile(r"conn=(\d+) op=(\d+) (\S+) ?(.*)")
_FIELDS = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')


def read_log(text, run=1):
    """[Operation] of a log at level `stats`."""
    open_operations, who, found = {}, {}, []
    for line in text.splitlines():
        match = _LINE.search(line)
        if not match:
            continue
        connection, key, word, rest = (run, int(match[1])), (match[1], match[2]), match[3], match[4]
        fields = {name: value.strip('"') for name, value in _FIELDS.findall(rest)}
        if word in ("RESULT", "SEARCH"):
            _finish(open_operations.get(key), fields, rest, who)
        elif word in WRITES or word in ("SRCH", "BIND", "CMP", "EXT"):
            _begin(open_operations, found, key, connection, word, fields, rest, who)
    return found


def _begin(open_operations, found, key, connection, word, fields, rest, who):
    operation = open_operations.get(key)
    if operation is None or (word == "PASSMOD" and operation.kind == "EXT"):
        operation = operation or Operation(word, who.get(connection, ""), connection)
        if operation not in found[-64:] or not open_operations.get(key):
            found.append(operation)
        operation.kind, open_operations[key] = word, operation
    operation.dn = fields.get("dn", fields.get("base", fields.get("id", operation.dn)))
    operation.scope, operation.filter = fields.get("scope", operation.scope), fields.get("filter", operation.filter)
    operation.mechanism = fields.get("mech", operation.mechanism)
    if word == "EXT":
        operation.mechanism = fields.get("oid", "")
    if rest.startswith("attr="):
        operation.attributes += rest.removeprefix("attr=").split()


def _finish(operation, fields, rest, who):
    if operation is None or "err" not in fields:
        return
    operation.error, operation.entries = int(fields["err"]), int(fields.get("nentries", 0))
    operation.text = rest.partition(" text=")[2]
    if operation.kind == "BIND":
        who[operation.connection] = operation.dn.lower() if operation.error == 0 else ""
