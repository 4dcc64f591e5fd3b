//! The countries of the network: their streets, and what sites are called there.

/// A country.
#[derive(Debug)]
pub(super) struct Country {
    /// ISO 3166-1 alpha-2, with which the names of chargers begin.
    pub(super) short: &'static str,
    /// ISO 3166-1 alpha-3.
    pub(super) code: &'static str,
    pub(super) time_zone: &'static str,
    /// Whether the number of a house stands before its street.
    pub(super) number_first: bool,
    pub(super) motorway: &'static str,
    pub(super) supermarket: &'static str,
    pub(super) car_park: &'static str,
    pub(super) hotel: &'static str,
    /// What follows the name of a company.
    pub(super) company: &'static str,
    /// The letter of its motorways.
    pub(super) road: &'static str,
    pub(super) streets: &'static [&'static str],
}

macro_rules! countries {
    ($($short:ident $code:ident $zone:literal $first:literal
        [$motorway:literal, $supermarket:literal, $car_park:literal, $hotel:literal, $company:literal, $road:literal]
        $($street:literal)*;)*) => {
        /// All countries of the network.
        pub(super) const COUNTRIES: &[Country] = &[$(Country {
            short: stringify!($short), code: stringify!($code), time_zone: $zone, number_first: $first,
            motorway: $motorway, supermarket: $supermarket, car_park: $car_park, hotel: $hotel, company: $company,
            road: $road, streets: &[$($street),*],
        },)*];
    };
}

countries! {
    DE DEU "Europe/Berlin" false ["Rasthof", "Supermarkt", "Parkhaus", "Hotel", "GmbH", "A"]
        "Hauptstraße" "Bahnhofstraße" "Gartenweg" "Lindenallee" "Schillerstraße" "Goethestraße" "Kastanienallee"
        "Industriestraße" "Am Markt" "Ringstraße" "Berliner Straße" "Mühlenweg" "Kirchgasse" "Uferstraße" "Rathausplatz";
    FR FRA "Europe/Paris" true ["Aire de", "Supermarché", "Parking", "Hôtel", "SAS", "A"]
        "Rue de la République" "Avenue Victor Hugo" "Rue Pasteur" "Place de la Mairie" "Boulevard Gambetta"
        "Rue du Moulin" "Rue des Écoles" "Avenue Jean Jaurès" "Rue de la Gare" "Quai du Port" "Rue Voltaire"
        "Allée des Tilleuls" "Rue du Château" "Cours Lafayette";
    GB GBR "Europe/London" true ["Services", "Supermarket", "Car Park", "Hotel", "Ltd", "M"]
        "High Street" "Station Road" "Church Lane" "Victoria Road" "Park Avenue" "Mill Lane" "King Street"
        "Queen Street" "London Road" "Green Lane" "Bridge Street" "Market Place" "Albert Road" "The Crescent";
    ES ESP "Europe/Madrid" false ["Área de servicio", "Supermercado", "Aparcamiento", "Hotel", "SL", "A-"]
        "Calle Mayor" "Avenida de la Constitución" "Calle Real" "Plaza de España" "Calle del Sol" "Paseo Marítimo"
        "Calle Cervantes" "Avenida de Andalucía" "Calle de la Iglesia" "Ronda Norte" "Calle Goya" "Calle San Juan";
    IT ITA "Europe/Rome" false ["Area di servizio", "Supermercato", "Parcheggio", "Hotel", "S.r.l.", "A"]
        "Via Roma" "Via Garibaldi" "Corso Italia" "Via Mazzini" "Piazza del Duomo" "Via Dante" "Viale Europa"
        "Via Verdi" "Via Cavour" "Via della Stazione" "Lungomare" "Via Manzoni" "Corso Vittorio Emanuele";
    NL NLD "Europe/Amsterdam" false ["Verzorgingsplaats", "Supermarkt", "Parkeergarage", "Hotel", "B.V.", "A"]
        "Dorpsstraat" "Kerkstraat" "Stationsweg" "Molenweg" "Julianalaan" "Beatrixstraat" "Schoolstraat"
        "Marktplein" "Havenkade" "Wilhelminastraat" "Eikenlaan" "Nieuwstraat" "Parallelweg";
    BE BEL "Europe/Brussels" false ["Aire de", "Supermarché", "Parking", "Hotel", "NV", "E"]
        "Rue de la Station" "Kerkstraat" "Chaussée de Louvain" "Stationsstraat" "Avenue Louise" "Molenstraat"
        "Rue Haute" "Nieuwstraat" "Place Communale" "Grote Markt" "Rue du Parc" "Brusselsesteenweg";
    AT AUT "Europe/Vienna" false ["Raststation", "Supermarkt", "Parkgarage", "Hotel", "GmbH", "A"]
        "Hauptplatz" "Bahnhofstraße" "Landstraße" "Mozartgasse" "Kirchengasse" "Donaulände" "Wiener Straße"
        "Feldgasse" "Schulgasse" "Ringstraße" "Lindengasse" "Marktgasse";
    CH CHE "Europe/Zurich" false ["Raststätte", "Supermarkt", "Parkhaus", "Hotel", "AG", "A"]
        "Bahnhofstrasse" "Seestrasse" "Dorfstrasse" "Hauptgasse" "Rue du Rhône" "Avenue de la Gare" "Kirchweg"
        "Talstrasse" "Schulstrasse" "Marktgasse" "Chemin des Vignes" "Bergstrasse";
    PL POL "Europe/Warsaw" false ["MOP", "Supermarket", "Parking", "Hotel", "Sp. z o.o.", "A"]
        "ul. Polna" "ul. Leśna" "ul. Słoneczna" "ul. Krótka" "ul. Szkolna" "ul. Ogrodowa" "ul. Lipowa"
        "ul. Mickiewicza" "ul. Kościuszki" "Rynek Główny" "al. Niepodległości" "ul. Dworcowa";
    CZ CZE "Europe/Prague" false ["Odpočívka", "Supermarket", "Parkovací dům", "Hotel", "s.r.o.", "D"]
        "Nádražní" "Husova" "Komenského" "Palackého" "Masarykova" "Dlouhá" "Zahradní" "Školní" "Smetanova"
        "Náměstí Míru" "Lipová" "Tyršova";
    DK DNK "Europe/Copenhagen" false ["Rasteplads", "Supermarked", "P-hus", "Hotel", "ApS", "E"]
        "Vestergade" "Østergade" "Nørregade" "Søndergade" "Stationsvej" "Skolegade" "Strandvejen" "Kirkevej"
        "Algade" "Havnegade" "Torvet" "Birkevej";
    SE SWE "Europe/Stockholm" false ["Rastplats", "Stormarknad", "P-hus", "Hotell", "AB", "E"]
        "Storgatan" "Kungsgatan" "Drottninggatan" "Järnvägsgatan" "Skolgatan" "Parkvägen" "Kyrkogatan"
        "Stora torget" "Hamngatan" "Björkvägen" "Strandvägen" "Västra vägen";
    NO NOR "Europe/Oslo" false ["Rasteplass", "Dagligvare", "P-hus", "Hotell", "AS", "E"]
        "Storgata" "Kirkegata" "Jernbanegata" "Strandgata" "Skolegata" "Havnegata" "Kongens gate" "Parkveien"
        "Torget" "Bjørkeveien" "Dronningens gate";
    FI FIN "Europe/Helsinki" false ["Levähdysalue", "Supermarket", "Pysäköintitalo", "Hotelli", "Oy", "E"]
        "Mannerheimintie" "Kauppakatu" "Rautatienkatu" "Koulukatu" "Puistokatu" "Satamakatu" "Kirkkokatu"
        "Rantatie" "Hämeenkatu" "Asemakatu" "Koivutie";
    PT PRT "Europe/Lisbon" false ["Área de serviço", "Supermercado", "Parque", "Hotel", "Lda", "A"]
        "Rua da Liberdade" "Avenida da República" "Rua do Comércio" "Largo da Igreja" "Rua das Flores"
        "Rua 25 de Abril" "Avenida Marginal" "Rua Luís de Camões" "Praça do Município" "Rua da Escola";
    IE IRL "Europe/Dublin" true ["Services", "Supermarket", "Car Park", "Hotel", "Ltd", "M"]
        "Main Street" "Church Street" "Patrick Street" "Bridge Street" "O'Connell Street" "Station Road"
        "Castle Street" "The Quay" "Parnell Street" "Market Square";
    HU HUN "Europe/Budapest" false ["Pihenő", "Szupermarket", "Parkolóház", "Hotel", "Kft.", "M"]
        "Kossuth Lajos utca" "Petőfi Sándor utca" "Rákóczi út" "Fő utca" "Dózsa György út" "Ady Endre utca"
        "Arany János utca" "Széchenyi tér" "Béke utca" "Jókai utca";
    GR GRC "Europe/Athens" false ["Σταθμός", "Σούπερ Μάρκετ", "Πάρκινγκ", "Ξενοδοχείο", "ΑΕ", "A"]
        "Ερμού" "Βενιζέλου" "Λεωφόρος Δημοκρατίας" "Αγίου Δημητρίου" "Κολοκοτρώνη" "Αθηνάς" "Παπανδρέου"
        "Πλατεία Συντάγματος" "25ης Μαρτίου" "Μακεδονίας";
    RO ROU "Europe/Bucharest" false ["Parcare", "Supermarket", "Parcare", "Hotel", "SRL", "A"]
        "Strada Mihai Eminescu" "Bulevardul Unirii" "Strada Libertății" "Calea Victoriei" "Strada Florilor"
        "Bulevardul Independenței" "Strada Gării" "Piața Unirii" "Strada Școlii" "Strada Avram Iancu";
}
