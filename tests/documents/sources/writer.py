"""Letters and reports as flat OpenDocument text, which LibreOffice turns into PDF."""

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

_NAMESPACES = " ".join(
    f'xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for prefix, name in (
        ("office", "office"),
        ("style", "style"),
        ("text", "text"),
        ("table", "table"),
        ("fo", "xsl-fo-compatible"),
        ("meta", "meta"),
        ("form", "form"),
        ("draw", "drawing"),
        ("svg", "svg-compatible"),
    )
)

_STYLES = """
<office:font-face-decls>
 <style:font-face style:name="Sans" svg:font-family="'Liberation Sans'"/>
</office:font-face-decls>
<office:styles>
 <style:default-style style:family="paragraph"><style:text-properties style:font-name="Sans" fo:font-size="10.5pt"
   fo:language="{language}" fo:country="BE"/></style:default-style>
 <style:style style:name="Standard" style:family="paragraph" style:class="text"><style:paragraph-properties
   fo:margin-bottom="0.25cm" fo:line-height="125%"/></style:style>
 <style:style style:name="Service" style:family="paragraph" style:parent-style-name="Standard">
   <style:paragraph-properties fo:margin-bottom="0cm"/><style:text-properties fo:font-size="14pt" fo:font-weight="bold"
   fo:color="#5b2333"/></style:style>
 <style:style style:name="Unit" style:family="paragraph" style:parent-style-name="Standard"><style:paragraph-properties
   fo:padding-bottom="0.2cm" fo:border-bottom="1.5pt solid #5b2333" fo:margin-bottom="0.9cm"/><style:text-properties
   fo:font-size="9pt" fo:color="#555555"/></style:style>
 <style:style style:name="Address" style:family="paragraph" style:parent-style-name="Standard">
   <style:paragraph-properties fo:margin-left="9cm" fo:margin-bottom="0cm"/></style:style>
 <style:style style:name="Heading_20_1" style:display-name="Heading 1" style:family="paragraph"
   style:parent-style-name="Standard" style:default-outline-level="1" style:class="text"><style:paragraph-properties
   fo:margin-top="0.7cm" fo:keep-with-next="always"/><style:text-properties fo:font-size="14pt" fo:font-weight="bold"
   fo:color="#5b2333"/></style:style>
 <style:style style:name="Chapter" style:family="paragraph" style:parent-style-name="Heading_20_1"
   style:default-outline-level="1"><style:paragraph-properties fo:break-before="page"/></style:style>
 <style:style style:name="Fiction" style:family="paragraph" style:parent-style-name="Standard">
   <style:paragraph-properties fo:margin-top="0cm" fo:margin-bottom="0cm" fo:text-align="center"/>
   <style:text-properties fo:font-size="7pt" fo:color="#8a1c1c"/></style:style>
</office:styles>
<office:automatic-styles>
 <style:style style:name="Cell" style:family="table-cell"><style:table-cell-properties fo:padding="0.12cm"
   fo:border-bottom="0.5pt solid #c9b4ba"/></style:style>
 <style:page-layout style:name="A4"><style:page-layout-properties fo:page-width="21cm" fo:page-height="29.7cm"
   fo:margin-top="2cm" fo:margin-bottom="1.4cm" fo:margin-left="2.5cm" fo:margin-right="2cm"/><style:footer-style>
   <style:header-footer-properties fo:min-height="1cm" fo:margin-top="0.4cm"/></style:footer-style></style:page-layout>
</office:automatic-styles>
<office:master-styles><style:master-page style:name="Standard" style:page-layout-name="A4"><style:footer>
 <text:p text:style-name="Fiction">{fiction}</text:p>
 <text:p text:style-name="Fiction"><text:page-number text:select-page="current"/> / <text:page-count/></text:p>
</style:footer></style:master-page></office:master-styles>
"""

_FICTION = {
    "nl": "Fictief document, gemaakt om Zending te beproeven. Personen, diensten en nummers zijn verzonnen; geen "
    "enkele juridische waarde.",
    "fr": "Document fictif, établi pour les essais de Zending. Personnes, services et numéros sont inventés ; aucune "
    "valeur juridique.",
}


def paragraph(words: str, style: str = "Standard") -> str:
    """One paragraph; a line break in `words` stays one."""
    return f'<text:p text:style-name="{style}">{escape(words).replace(chr(10), "<text:line-break/>")}</text:p>'


def heading(words: str, style: str = "Heading_20_1") -> str:
    """A heading of the first level; style ``Chapter`` begins a new page."""
    return f'<text:h text:style-name="{style}" text:outline-level="1">{escape(words)}</text:h>'


def table(rows: Sequence[Sequence[str]]) -> str:
    """A table whose first row is its head."""
    columns = f'<table:table-column table:number-columns-repeated="{len(rows[0])}"/>'
    head, *body = (
        "<table:table-row>"
        + "".join(
            f'<table:table-cell table:style-name="Cell" office:value-type="string">{paragraph(cell)}</table:table-cell>'
            for cell in row
        )
        + "</table:table-row>"
        for row in rows
    )
    return (
        f"<table:table>{columns}<table:table-header-rows>{head}</table:table-header-rows>{''.join(body)}</table:table>"
    )


def field(label: str, name: str) -> tuple[str, str]:
    """A text field of a form: its control, and the line that shows it."""
    control = (
        f"<form:text form:name={quoteattr(name)} xml:id={quoteattr(name)} form:id={quoteattr(name)} "
        'form:control-implementation="ooo:com.sun.star.form.component.TextField"/>'
    )
    shown = (
        f'<text:p text:style-name="Standard">{escape(label)}: <draw:control draw:control={quoteattr(name)} '
        'text:anchor-type="as-char" svg:width="8cm" svg:height="0.7cm"/></text:p>'
    )
    return control, shown


def document(language: str, title: str, body: Sequence[str], *, controls: Sequence[str] = ()) -> str:
    """The whole file."""
    forms = (
        f'<office:forms><form:form form:name="form">{"".join(controls)}</form:form></office:forms>' if controls else ""
    )
    styles = _STYLES.format(language=language, fiction=_FICTION[language])
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<office:document {_NAMESPACES} xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:ooo="http://openoffice.org/2004/office" office:version="1.3" '
        'office:mimetype="application/vnd.oasis.opendocument.text">'
        f"<office:meta><dc:title>{escape(title)}</dc:title><dc:language>{language}-BE</dc:language></office:meta>"
        f"{styles}<office:body><office:text>{forms}{''.join(body)}</office:text></office:body></office:document>"
    )
