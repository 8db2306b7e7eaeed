"""The TPDUs of 3GPP TS 23.040 as a modem and a service centre need them: SMS-SUBMIT decoded, SMS-DELIVER and
SMS-STATUS-REPORT encoded. Written from the specification alone, apart from the codec of nudged, so that each checks
the other. Whatever is not exactly as the specification has it raises Malformed.
"""

import datetime

# 3GPP TS 23.038 6.2.1 and 6.2.1.1; the escape stands at its own place.
DEFAULT = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = {
    0x0A: "\f", 0x14: "^", 0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "[", 0x3D: "~", 0x3E: "]", 0x40: "|", 0x65: "€",
}
SEPTET = {character: (value,) for value, character in enumerate(DEFAULT) if value != 0x1B}
SEPTET.update({character: (0x1B, value) for value, character in EXTENSION.items()})
MOST_SEPTETS, MOST_OCTETS = 160, 140
# Type of number 1, numbering plan 1: TS 23.040 9.1.2.5.
INTERNATIONAL, ALPHANUMERIC = 0x91, 5


class Malformed(Exception):
    """No TPDU the specification allows; the text says why."""


class Reader:
    def __init__(self, octets):
        self.octets, self.at = octets, 0

    def take(self, count):
        if self.at + count > len(self.octets):
            raise Malformed(f"ends {self.at + count - len(self.octets)} octets early")
        self.at += count
        return self.octets[self.at - count : self.at]

    def octet(self):
        return self.take(1)[0]


def unpack(octets, count, fill=0):
    """`count` septets behind `fill` bits."""
    bits = int.from_bytes(octets, "little") >> fill
    return [(bits >> (7 * n)) & 0x7F for n in range(count)]


def pack(septets, fill=0):
    bits = sum(septet << (7 * n) for n, septet in enumerate(septets)) << fill
    return bits.to_bytes((7 * len(septets) + fill + 7) // 8, "little")


def characters(septets):
    text, escaped = [], False
    for septet in septets:
        if escaped:
            text.append(EXTENSION.get(septet, " " if septet == 0x1B else DEFAULT[septet]))
            escaped = False
        elif septet == 0x1B:
            escaped = True
        else:
            text.append(DEFAULT[septet])
    return "".join(text) + (" " if escaped else "")


def septets_of(text):
    """None where a character is in neither table."""
    try:
        return [septet for character in text for septet in SEPTET[character]]
    except KeyError:
        return None


def semi_octets(octets):
    return "".join("0123456789*#abcF"[nibble] for octet in octets for nibble in (octet & 15, octet >> 4))


def read_address(reader):
    """TS 23.040 9.1.2.5: the length counts semi-octets."""
    length, kind = reader.octet(), reader.octet()
    if length > 20:
        raise Malformed(f"an address of {length} semi-octets")
    octets = reader.take((length + 1) // 2)
    if not kind & 0x80:
        raise Malformed("type of address without its highest bit")
    if (kind >> 4) & 7 == ALPHANUMERIC:
        return characters(unpack(octets, length * 4 // 7))
    digits = semi_octets(octets)
    if length % 2 and digits[-1] != "F":
        raise Malformed("an odd number without its filler")
    digits = digits[:length]
    if not digits or "F" in digits:
        raise Malformed(f"no number: {digits!r}")
    return ("+" if (kind >> 4) & 7 == 1 else "") + digits


def address(number):
    digits = number.removeprefix("+")
    padded = digits + "F" * (len(digits) % 2)
    swapped = bytes(int(padded[n + 1] + padded[n], 16) for n in range(0, len(padded), 2))
    return bytes([len(digits), INTERNATIONAL if number.startswith("+") else 0x81]) + swapped


def alphabet_of(coding):
    """TS 23.038 section 4, without the message waiting groups' indications."""
    if coding & 0xC0 == 0x00:
        if coding & 0x20:
            raise Malformed("compressed text")
        return ("gsm7", "8bit", "ucs2", "gsm7")[(coding >> 2) & 3]
    if coding & 0xF0 == 0xF0:
        return "8bit" if coding & 4 else "gsm7"
    return "ucs2" if coding & 0xF0 == 0xE0 else "gsm7"


def read_header(octets):
    """The user data header's elements; of two of one kind the last counts (9.2.3.24)."""
    elements, reader = {}, Reader(octets)
    while reader.at < len(octets):
        kind = reader.octet()
        elements[kind] = reader.take(reader.octet())
    for kind, length in ((0x00, 3), (0x08, 4)):
        if kind in elements and len(elements[kind]) != length:
            raise Malformed(f"element {kind:#04x} of {len(elements[kind])} octets")
    return elements


def read_validity(reader, form):
    # 9.2.3.3: 0 none, 1 enhanced, 2 relative, 3 absolute.
    return reader.take((0, 7, 1, 7)[form]).hex()


def read_user_octets(reader, coding, has_header):
    length = reader.octet()
    alphabet = alphabet_of(coding)
    limit = MOST_SEPTETS if alphabet == "gsm7" else MOST_OCTETS
    if length > limit:
        raise Malformed(f"user data of {length}, at most {limit}")
    octets = reader.take((length * 7 + 7) // 8 if alphabet == "gsm7" else length)
    head, elements = b"", {}
    if has_header:
        if not octets or octets[0] + 1 > len(octets):
            raise Malformed("the header is longer than the user data")
        head = octets[: octets[0] + 1]
        elements = read_header(head[1:])
    if alphabet == "gsm7":
        fill = -len(head) * 8 % 7
        count = length - (len(head) * 8 + fill) // 7
        if count < 0:
            raise Malformed("the header is longer than the user data")
        return alphabet, elements, characters(unpack(octets[len(head) :], count, fill))
    body = octets[len(head) :]
    if alphabet == "8bit":
        return alphabet, elements, body.hex()
    try:
        return alphabet, elements, body.decode("utf-16-be")
    except UnicodeDecodeError as error:
        raise Malformed(f"UCS-2: {error}") from None


def decode_submit(tpdu):
    """SMS-SUBMIT, 9.2.2.2, as a dict."""
    reader = Reader(tpdu)
    first = reader.octet()
    if first & 3 != 1:
        raise Malformed(f"TP-MTI {first & 3}, not an SMS-SUBMIT")
    fields = {"rd": bool(first & 4), "srr": bool(first & 0x20), "rp": bool(first & 0x80), "mr": reader.octet()}
    fields["to"] = read_address(reader)
    fields["pid"], fields["dcs"] = reader.octet(), reader.octet()
    fields["vp"] = read_validity(reader, (first >> 3) & 3)
    alphabet, elements, text = read_user_octets(reader, fields["dcs"], bool(first & 0x40))
    if reader.at != len(tpdu):
        raise Malformed(f"{len(tpdu) - reader.at} octets too many")
    fields.update(alphabet=alphabet, text=text, reference=None, total=1, number=1)
    if 0x08 in elements:
        high, low, total, number = elements[0x08]
        fields.update(reference=high << 8 | low, total=total, number=number)
    elif 0x00 in elements:
        reference, total, number = elements[0x00]
        fields.update(reference=reference, total=total, number=number)
    if not 1 <= fields["number"] <= fields["total"]:
        raise Malformed(f"segment {fields['number']} of {fields['total']}")
    return fields


def timestamp(moment):
    """9.2.3.11: swapped semi-octets, the zone in quarters of an hour."""
    swap = lambda value: (value % 10) << 4 | value // 10
    quarters = int(moment.utcoffset().total_seconds() // 900)
    zone = swap(abs(quarters)) | (8 if quarters < 0 else 0)
    parts = (moment.year % 100, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    return bytes([*map(swap, parts), zone])


def encode_delivers(number, text, moment, reference):
    """SMS-DELIVER, 9.2.2.1: as many as the text needs; concatenated by an 8-bit reference."""
    septets = septets_of(text)
    coding = 0x08 if septets is None else 0x00
    units = septets if septets is not None else list(text.encode("utf-16-be"))
    whole, each = (MOST_SEPTETS, 153) if coding == 0 else (MOST_OCTETS, 134)
    bodies = [units] if len(units) <= whole else split(units, each, coding)
    tpdus = []
    for place, body in enumerate(bodies, 1):
        head = bytes([5, 0, 3, reference & 0xFF, len(bodies), place]) if len(bodies) > 1 else b""
        # No more messages (TP-MMS), a header where there is one (TP-UDHI).
        first = 0x04 | (0x40 if head else 0)
        fill = -len(head) * 8 % 7
        octets = pack(body, fill) if coding == 0 else bytes(body)
        length = len(body) + (len(head) * 8 + fill) // 7 if coding == 0 else len(head) + len(body)
        front = bytes([first]) + address(number) + bytes([0, coding]) + timestamp(moment)
        tpdus.append(front + bytes([length]) + head + octets)
    return tpdus


def split(units, each, coding):
    """Cut so that no escape and no surrogate pair is torn."""
    bodies = []
    while units:
        end = min(each, len(units))
        if end < len(units) and coding == 0 and units[end - 1] == 0x1B:
            end -= 1
        if end < len(units) and coding != 0 and 0xD8 <= units[end - 2] <= 0xDB:
            end -= 2
        bodies.append(units[:end])
        units = units[end:]
    return bodies


def encode_report(reference, number, sent, done, status):
    """SMS-STATUS-REPORT, 9.2.2.3."""
    return bytes([0x06, reference]) + address(number) + timestamp(sent) + timestamp(done) + bytes([status])


def now():
    return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
